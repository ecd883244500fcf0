/** The frame of every page: top bar, palette, toasts. */
import { ActionIcon, Button, useMantineColorScheme } from "@mantine/core";
import { useColorScheme } from "@mantine/hooks";
import {
  IconBook2,
  IconCompass,
  IconDeviceDesktop,
  IconDoorExit,
  IconHome,
  IconKeyboard,
  IconMoon,
  IconPlus,
  IconSearch,
  IconServerCog,
  IconSun,
  IconUser,
  IconUsersGroup,
} from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { type ErrorComponentProps, useRouter } from "@tanstack/react-router";
import { lazy, type ReactNode, Suspense, useEffect, useState, useSyncExternalStore } from "react";
import { del } from "@/api/client";
import { Avatar, Empty } from "@/ui/bits";
import { type Action, listenForShortcuts, useActions } from "./actions";
import { Link, useGo, usePlace } from "./location";
import { parseProjectPath, paths } from "./paths";
import { useUser } from "./session";
import { Toasts } from "./Toasts";

const Palette = lazy(() => import("./Palette"));
const UserMenu = lazy(() => import("./UserMenu"));
const ShortcutHelp = lazy(() => import("./ShortcutHelp"));

const opposite = (scheme: "light" | "dark") => (scheme === "dark" ? "light" : "dark");

function useShellActions(open: (what: "palette" | "help") => void): Record<string, Action> {
  const go = useGo();
  const user = useUser();
  const client = useQueryClient();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  // Each step but the last changes what is seen: away from the system's, back to it for good, then following it.
  const system = useColorScheme();
  const next = colorScheme === "auto" ? opposite(system) : colorScheme === system ? "auto" : system;
  const list: Action[] = [
    {
      id: "palette",
      name: "Search and commands",
      group: "General",
      icon: IconSearch,
      shortcut: "mod+k",
      perform: () => open("palette"),
    },
    {
      id: "help",
      name: "Keyboard shortcuts",
      group: "General",
      icon: IconKeyboard,
      shortcut: "?",
      perform: () => open("help"),
    },
    {
      id: "home",
      name: "Go to projects",
      group: "Go",
      icon: IconHome,
      shortcut: "g h",
      keywords: "home list",
      perform: () => go(paths.home()),
    },
    {
      id: "create",
      name: "New project",
      group: "Create",
      icon: IconPlus,
      shortcut: "c p",
      keywords: "create template",
      visible: () => !!user,
      perform: () => go(paths.create()),
    },
    {
      id: "groups",
      name: "Go to groups",
      group: "Go",
      icon: IconUsersGroup,
      shortcut: "g o",
      keywords: "namespace team",
      visible: () => !!user,
      perform: () => go(paths.groups()),
    },
    {
      id: "search-all",
      name: "Search code everywhere",
      group: "Go",
      icon: IconCompass,
      shortcut: "g /",
      perform: () => go(paths.searchAll()),
    },
    {
      id: "account",
      name: "Account and tokens",
      group: "Go",
      icon: IconUser,
      shortcut: "g u",
      keywords: "profile password token",
      visible: () => !!user,
      perform: () => go(paths.account()),
    },
    {
      id: "admin",
      name: "Administration",
      group: "Go",
      icon: IconServerCog,
      keywords: "users runners",
      visible: () => !!user?.admin,
      perform: () => go(paths.admin()),
    },
    {
      id: "docs",
      name: "API reference",
      group: "Go",
      icon: IconBook2,
      keywords: "openapi rest",
      perform: () => window.location.assign("/docs"),
    },
    {
      id: "theme",
      name: next === "auto" ? "Theme: follow the system" : `Theme: ${next}`,
      group: "General",
      icon: next === "auto" ? IconDeviceDesktop : next === "light" ? IconSun : IconMoon,
      keywords: "dark light color scheme",
      perform: () => setColorScheme(next),
    },
    {
      id: "sign-out",
      name: "Sign out",
      group: "General",
      icon: IconDoorExit,
      visible: () => !!user,
      perform: async () => {
        await del("/session").catch(() => undefined);
        client.clear();
        go(paths.signIn());
      },
    },
  ];
  useActions(list);
  return Object.fromEntries(list.map((a) => [a.id, a]));
}

function Crumbs() {
  const place = usePlace();
  if (place.path === "/" || place.path.startsWith("/-/") || place.path === "/sign-in") return null;
  const { path } = parseProjectPath(place.path);
  const words = path.split("/");
  return (
    <nav className="dm-crumbs" aria-label="Breadcrumb">
      {words.map((word, i) => {
        const href = paths.project(words.slice(0, i + 1).join("/"));
        const last = i === words.length - 1;
        return (
          <span key={href} className={last ? "dm-crumb-last" : "dm-crumb"}>
            <span className="dm-dim" aria-hidden>
              /
            </span>
            <Link href={href}>{word}</Link>
          </span>
        );
      })}
    </nav>
  );
}

export function Shell({ children }: { children: ReactNode }) {
  const [opened, setOpened] = useState<"palette" | "help" | null>(null);
  const actions = useShellActions(setOpened);
  const user = useUser();
  const place = usePlace();
  useEffect(() => listenForShortcuts(), []);
  const bare = place.path === "/sign-in";
  // The menu's code comes after the first view.
  const [menu, setMenu] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setMenu(true), 1500);
    return () => clearTimeout(timer);
  }, []);
  // A click that comes before the code is not lost.
  const [early, setEarly] = useState(false);
  const face = (onClick?: () => void) => (
    <button
      type="button"
      className="dm-user-button"
      aria-label={user ? `Menu of ${user.name}` : "Menu"}
      onPointerEnter={() => setMenu(true)}
      onFocus={() => setMenu(true)}
      onClick={onClick}
      // Between press and release the button may be replaced, and then there is no click.
      onPointerDown={onClick}
    >
      {user ? <Avatar name={user.display_name || user.name} size={28} /> : <IconSun size={17} aria-hidden />}
    </button>
  );
  const waiting = face(() => {
    setMenu(true);
    setEarly(true);
  });
  return (
    <>
      <a className="dm-skip" href="#main">
        Skip to content
      </a>
      {bare ? null : (
        <header className="dm-top">
          <Link href="/" className="dm-logo" aria-label="DevMentor, all projects">
            <img src="/assets/favicon.svg" alt="" width={24} height={24} />
            <span className="dm-logo-word">DevMentor</span>
          </Link>
          <Crumbs />
          <div className="dm-grow" />
          <button
            type="button"
            className="dm-search-button"
            onClick={() => setOpened("palette")}
            aria-label="Search and commands"
            aria-keyshortcuts="Control+K Meta+K"
          >
            <IconSearch size={15} aria-hidden />
            <span>Search or run a command</span>
            <kbd>{/mac|iphone|ipad/i.test(navigator.platform) ? "⌘K" : "Ctrl K"}</kbd>
          </button>
          {user ? (
            <ActionIcon
              size={32}
              variant="default"
              aria-label="New project"
              title="New project (c p)"
              onClick={() => void actions.create?.perform()}
            >
              <IconPlus size={17} />
            </ActionIcon>
          ) : null}
          {user === null ? (
            <Button component={Link} href={paths.signIn(place.href)} size="xs">
              Sign in
            </Button>
          ) : null}
          {menu ? (
            <Suspense fallback={waiting}>
              <UserMenu user={user ?? null} actions={actions} opened={early}>
                {face()}
              </UserMenu>
            </Suspense>
          ) : (
            waiting
          )}
        </header>
      )}
      {children}
      <Toasts />
      <Suspense fallback={null}>
        {opened === "palette" ? <Palette onClose={() => setOpened(null)} /> : null}
        {opened === "help" ? <ShortcutHelp onClose={() => setOpened(null)} /> : null}
      </Suspense>
    </>
  );
}

export function Main({ children, narrow }: { children: ReactNode; narrow?: boolean }) {
  return (
    <main id="main" className={narrow ? "dm-main dm-main-narrow" : "dm-main"}>
      {children}
    </main>
  );
}

/** Of a part of a page that has its frame already. */
export function NotHere() {
  const user = useUser();
  const place = usePlace();
  return (
    <Empty
      icon={IconCompass}
      title="There is nothing here"
      action={
        <Button component={Link} href={user === null ? paths.signIn(place.href) : "/"} variant="default">
          {user === null ? "Sign in" : "All projects"}
        </Button>
      }
    >
      The page does not exist, or you may not know that it does.
    </Empty>
  );
}

export function NotFound() {
  return (
    <Main narrow>
      <NotHere />
    </Main>
  );
}

/** Shown when a page's own code failed; a failed chunk usually means a newer version was deployed. */
export function CrashView({ error: thrown, reset }: ErrorComponentProps) {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const router = useRouter();
  const stale = /dynamically imported module|Importing a module script/i.test(error.message);
  return (
    <Main narrow>
      <Empty
        icon={IconCompass}
        title={stale ? "A newer version is here" : "This page stopped working"}
        action={
          <Button
            variant="default"
            onClick={() => {
              if (stale) window.location.reload();
              else {
                reset();
                void router.invalidate();
              }
            }}
          >
            {stale ? "Load it" : "Try again"}
          </Button>
        }
      >
        {stale ? "The client was updated on the server." : error.message}
      </Empty>
    </Main>
  );
}

/** Re-renders when the browser goes on or off line. */
export function useOnline(): boolean {
  return useSyncExternalStore(
    (listener) => {
      window.addEventListener("online", listener);
      window.addEventListener("offline", listener);
      return () => {
        window.removeEventListener("online", listener);
        window.removeEventListener("offline", listener);
      };
    },
    () => navigator.onLine,
  );
}
