import { describe, expect, it } from "vitest";
import { isZone, nextTimes, parseCron } from "./cron";

const next = (cron: string, zone: string, after: string, count = 3) =>
  nextTimes(parseCron(cron), zone, count, Date.parse(after)).map((d) => d.toISOString().slice(0, 16));

describe("cron", () => {
  it("reads lists, ranges, steps, names and short forms", () => {
    expect(next("*/20 8-9 * * mon-fri", "UTC", "2026-11-20T09:30:00Z")).toEqual([
      "2026-11-20T09:40",
      "2026-11-23T08:00",
      "2026-11-23T08:20",
    ]);
    expect(next("@monthly", "UTC", "2026-11-20T00:00:00Z", 2)).toEqual([
      "2026-12-01T00:00",
      "2027-01-01T00:00",
    ]);
    expect(next("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 1)).toEqual(["2028-02-29T00:00"]);
    expect(next("0 12 * * 7", "UTC", "2026-11-23T00:00:00Z", 1)).toEqual(["2026-11-29T12:00"]);
    expect(next("0 0 31 2 *", "UTC", "2026-01-01T00:00:00Z")).toEqual([]);
  });

  it("takes a day that matches either day field when both restrict", () => {
    expect(next("0 0 13 * fri", "UTC", "2026-11-10T00:00:00Z", 3)).toEqual([
      "2026-11-13T00:00",
      "2026-11-20T00:00",
      "2026-11-27T00:00",
    ]);
    expect(next("0 0 1 dec fri", "UTC", "2026-11-10T00:00:00Z", 2)).toEqual([
      "2026-12-01T00:00",
      "2026-12-04T00:00",
    ]);
  });

  it("is due once where the clocks change", () => {
    // Berlin skips 02:00 to 03:00 on 28 March 2027, and has it twice on 31 October 2027.
    expect(next("30 2 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z", 2)).toEqual([
      "2027-03-28T01:00",
      "2027-03-29T00:30",
    ]);
    expect(next("30 2 * * *", "Europe/Berlin", "2027-10-30T12:00:00Z", 2)).toEqual([
      "2027-10-31T00:30",
      "2027-11-01T01:30",
    ]);
    expect(next("0 9 * * *", "Asia/Kathmandu", "2026-11-23T00:00:00Z", 1)).toEqual(["2026-11-23T03:15"]);
  });

  it("says what is wrong", () => {
    expect(() => parseCron("0 0 * *")).toThrow(/Five fields/);
    expect(() => parseCron("61 0 * * *")).toThrow(/no minute/);
    expect(() => parseCron("0 0 * * 5-1")).toThrow(/backwards/);
    expect(() => parseCron("*/0 * * * *")).toThrow(/step/);
    expect(isZone("Europe/Berlin")).toBe(true);
    expect(isZone("Mars/Olympus")).toBe(false);
  });
});
