/** Colours, type and density of the client. Components read them through Mantine's CSS variables. */
import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from "@mantine/core";

const iris: MantineColorsTuple = [
  "#f1f0fe",
  "#e0defb",
  "#c0bcf5",
  "#9d97ef",
  "#8079ea",
  "#6c63e6",
  "#5b54d6",
  "#4c45be",
  "#423bab",
  "#352f90",
];
/** Neutral with a trace of blue; 7 is the page, 6 a raised surface. */
const dark: MantineColorsTuple = [
  "#e3e6eb",
  "#b6bcc7",
  "#949ba8",
  "#6b7280",
  "#383d47",
  "#2b3039",
  "#1e2229",
  "#15171c",
  "#101216",
  "#0b0c0f",
];
const gray: MantineColorsTuple = [
  "#f7f8fa",
  "#eff1f4",
  "#e4e7ec",
  "#d7dbe2",
  "#c2c8d1",
  "#9aa2af",
  "#6f7887",
  "#4d5563",
  "#31373f",
  "#1b1f24",
];

/** The colour of what can not be undone; dark enough for text on white. */
const red: MantineColorsTuple = [
  "#fdecea",
  "#fad7d4",
  "#f5b0ab",
  "#f18b84",
  "#f0736b",
  "#dd4a43",
  "#c8322d",
  "#ad2723",
  "#93201c",
  "#741814",
];

export const theme = createTheme({
  primaryColor: "iris",
  primaryShade: { light: 6, dark: 5 },
  colors: { iris, dark, gray, red },
  black: "#1b1f24",
  fontFamily: 'Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif',
  fontFamilyMonospace: '"JetBrains Mono", ui-monospace, SFMono-Regular, Menlo, Consolas, monospace',
  fontSizes: { xs: "12px", sm: "13px", md: "14px", lg: "16px", xl: "18px" },
  lineHeights: { xs: "1.4", sm: "1.45", md: "1.5", lg: "1.5", xl: "1.5" },
  headings: {
    fontWeight: "600",
    sizes: {
      h1: { fontSize: "22px", lineHeight: "1.3" },
      h2: { fontSize: "17px", lineHeight: "1.35" },
      h3: { fontSize: "15px", lineHeight: "1.4" },
      h4: { fontSize: "14px", lineHeight: "1.4" },
    },
  },
  defaultRadius: "sm",
  radius: { xs: "3px", sm: "6px", md: "8px", lg: "12px", xl: "20px" },
  cursorType: "pointer",
  focusRing: "auto",
  // Plain objects: naming the components here would put their code into the first view.
  components: {
    Button: { defaultProps: { size: "sm" } },
    ActionIcon: { defaultProps: { variant: "subtle", color: "gray" } },
    Badge: { defaultProps: { variant: "light", radius: "sm", tt: "none", fw: 500 } },
    Input: { defaultProps: { size: "sm" } },
    Menu: { defaultProps: { shadow: "md", position: "bottom-end", radius: "md" } },
    Modal: { defaultProps: { radius: "md", centered: true, closeButtonProps: { "aria-label": "Close" } } },
    NavLink: { defaultProps: { variant: "light" } },
    Paper: { defaultProps: { radius: "md", withBorder: true } },
    Table: { defaultProps: { verticalSpacing: 7, horizontalSpacing: "sm" } },
    Tabs: { defaultProps: { keepMounted: false } },
    Tooltip: {
      defaultProps: { openDelay: 350, withArrow: true, events: { hover: true, focus: true, touch: false } },
    },
  },
});

export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--dm-page": "#fbfbfc",
    "--dm-surface": "#ffffff",
    "--dm-sunken": "#f5f6f8",
    "--dm-line": "#e4e7ec",
    "--mantine-color-body": "#fbfbfc",
    "--mantine-color-dimmed": "#5f6775",
    "--mantine-color-default-border": "#d7dbe2",
    "--dm-ok": "#18794a",
    "--dm-bad": "#c8322d",
    "--dm-run": "#1b64c4",
    "--dm-wait": "#8c6000",
    "--dm-idle": "#616a78",
    "--dm-ok-soft": "#e6f6ed",
    "--dm-bad-soft": "#fdecea",
    "--dm-run-soft": "#e8f1fd",
    "--dm-wait-soft": "#fcf3dd",
    "--dm-idle-soft": "#eff1f4",
  },
  dark: {
    "--dm-page": "#15171c",
    "--dm-surface": "#1a1d23",
    "--dm-sunken": "#111317",
    "--dm-line": "#2b3039",
    "--mantine-color-body": "#15171c",
    "--mantine-color-dimmed": "#99a1ae",
    "--mantine-color-default": "#1e2229",
    "--mantine-color-default-hover": "#252a32",
    "--mantine-color-default-border": "#383d47",
    "--dm-ok": "#4cc38a",
    "--dm-bad": "#ff7a72",
    "--dm-run": "#6cabf7",
    "--dm-wait": "#e2b340",
    "--dm-idle": "#949ba8",
    "--dm-ok-soft": "#14291f",
    "--dm-bad-soft": "#331b1b",
    "--dm-run-soft": "#15253a",
    "--dm-wait-soft": "#2d2513",
    "--dm-idle-soft": "#23272f",
  },
});
