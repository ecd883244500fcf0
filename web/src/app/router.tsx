/** The pages by address. A project's pages share one route, because a project's path has any number of words. */
import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
} from "@tanstack/react-router";
import { ProjectRoot } from "./ProjectRoot";
import { pages } from "./pages";
import { CrashView, NotFound, Shell } from "./Shell";

const root = createRootRoute({
  component: () => (
    <Shell>
      <Outlet />
    </Shell>
  ),
  notFoundComponent: NotFound,
  errorComponent: CrashView,
});

const page = (path: string, load: () => Promise<{ default: React.ComponentType }>) =>
  createRoute({
    getParentRoute: () => root,
    path,
    component: lazyRouteComponent(load),
    errorComponent: CrashView,
  });

const tree = root.addChildren([
  page("/", pages.home),
  page("/sign-in", pages.signIn),
  page("/-/new", pages.new),
  page("/-/groups", pages.groups),
  page("/-/account", pages.account),
  page("/-/admin", pages.admin),
  page("/-/search", pages.searchAll),
  createRoute({ getParentRoute: () => root, path: "/$", component: ProjectRoot, errorComponent: CrashView }),
]);

export function makeRouter(client: QueryClient) {
  return createRouter({
    routeTree: tree,
    context: { client },
    scrollRestoration: true,
    defaultPreload: false,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
