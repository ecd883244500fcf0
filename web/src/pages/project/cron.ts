/**
 * The next times of a cron expression in a time zone, for people who write one. The server decides what is due; this
 * follows its rules: five fields, a day that matches either day field, a time that the clocks skip is due when they
 * have gone on, and one that comes twice is due once.
 */
interface Field {
  values: Set<number>;
  /** Began with `*`: does not restrict. */
  any: boolean;
}

export interface Cron {
  minute: Field;
  hour: Field;
  day: Field;
  month: Field;
  weekday: Field;
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const SHORT: Record<string, string> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};

function fieldOf(text: string, name: string, first: number, last: number, names: string[] = []): Field {
  const number = (word: string): number => {
    const at = names.indexOf(word.toLowerCase());
    const value = at >= 0 ? at + (name === "month" ? 1 : 0) : /^\d+$/.test(word) ? Number(word) : Number.NaN;
    if (!(value >= first && value <= last)) throw new Error(`“${word}” is no ${name}: ${first} to ${last}`);
    return value;
  };
  const values = new Set<number>();
  for (const part of text.split(",")) {
    const [range = "", stepText, more] = part.split("/");
    const step = stepText === undefined ? 1 : Number(stepText);
    if (more !== undefined || !Number.isInteger(step) || step < 1)
      throw new Error(`“${part}” has no step that can be taken`);
    let from = first;
    let to = last;
    if (range !== "*") {
      const [a = "", b, c] = range.split("-");
      if (c !== undefined) throw new Error(`“${range}” is no range`);
      from = number(a);
      to = b !== undefined ? number(b) : stepText !== undefined ? last : from;
      if (to < from) throw new Error(`“${range}” runs backwards`);
    }
    for (let value = from; value <= to; value += step) values.add(value);
  }
  return { values, any: text.startsWith("*") };
}

export function parseCron(text: string): Cron {
  const line = SHORT[text.trim().toLowerCase()] ?? text.trim();
  const fields = line.split(/\s+/);
  if (line === "" || fields.length !== 5)
    throw new Error("Five fields: minute, hour, day of the month, month, day of the week");
  const [minute = "", hour = "", day = "", month = "", weekday = ""] = fields;
  const week = fieldOf(weekday, "day of the week", 0, 7, DAYS);
  if (week.values.delete(7)) week.values.add(0);
  return {
    minute: fieldOf(minute, "minute", 0, 59),
    hour: fieldOf(hour, "hour", 0, 23),
    day: fieldOf(day, "day of the month", 1, 31),
    month: fieldOf(month, "month", 1, 12, MONTHS),
    weekday: week,
  };
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** The time on the wall there, as if it were UTC. */
function wall(at: number, zone: string): number {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    formats.set(zone, format);
  }
  const part: Record<string, number> = {};
  for (const { type, value } of format.formatToParts(at)) part[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

const HALF_DAY = 12 * 3600_000;

/** The moment at which the wall shows a time; in a gap, the moment at which the clocks have gone on. */
export function momentOf(shown: number, zone: string): number {
  const offset = (at: number) => wall(at, zone) - Math.floor(at / 1000) * 1000;
  const before = offset(shown - HALF_DAY);
  const after = offset(shown + HALF_DAY);
  const early = shown - Math.max(before, after);
  const late = shown - Math.min(before, after);
  if (wall(early, zone) === shown) return early;
  if (wall(late, zone) === shown) return late;
  let [low, high] = [early - 1000, late + 1000];
  const old = offset(low);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offset(middle) === old) low = middle;
    else high = middle;
  }
  return high;
}

/** The next `count` times after a moment; fewer where there are none within four years and a day. */
export function nextTimes(cron: Cron, zone: string, count: number, after = Date.now()): Date[] {
  const found: number[] = [];
  const start = new Date(wall(after, zone) - 86_400_000);
  const hours = [...cron.hour.values].sort((a, b) => a - b);
  const minutes = [...cron.minute.values].sort((a, b) => a - b);
  for (let add = 0; add <= 4 * 366 + 2 && found.length < count; add++) {
    const day = new Date(Date.UTC(start.getUTCFullYear(), start.getUTCMonth(), start.getUTCDate() + add));
    if (!cron.month.values.has(day.getUTCMonth() + 1)) continue;
    const date = cron.day.values.has(day.getUTCDate());
    const weekday = cron.weekday.values.has(day.getUTCDay());
    if (cron.day.any || cron.weekday.any ? !(date && weekday) : !(date || weekday)) continue;
    for (const hour of hours) {
      for (const minute of minutes) {
        const at = momentOf(day.getTime() + hour * 3600_000 + minute * 60_000, zone);
        if (at > after && !found.includes(at)) found.push(at);
      }
      // A whole day has 1440 times at most; what is needed is found long before.
      if (found.length >= count + minutes.length) break;
    }
  }
  return found
    .sort((a, b) => a - b)
    .slice(0, count)
    .map((at) => new Date(at));
}

/** Does the browser know the zone? */
export function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return zone.trim() !== "";
  } catch {
    return false;
  }
}
