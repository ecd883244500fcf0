/** The menu behind the person's face: the same actions that the palette has. */
import { Menu, Text } from "@mantine/core";
import type { ReactElement } from "react";
import type { User } from "@/api/types";
import type { Action } from "./actions";

function Item({ action }: { action: Action | undefined }) {
  if (!action || action.visible?.() === false) return null;
  const Glyph = action.icon;
  return (
    <Menu.Item leftSection={<Glyph size={15} aria-hidden />} onClick={() => void action.perform()}>
      {action.name}
    </Menu.Item>
  );
}

export default function UserMenu({
  user,
  actions,
  opened,
  children,
}: {
  user: User | null;
  actions: Record<string, Action>;
  /** Begins opened. */
  opened: boolean;
  children: ReactElement;
}) {
  return (
    <Menu width={230} defaultOpened={opened}>
      <Menu.Target>{children}</Menu.Target>
      <Menu.Dropdown>
        {user ? (
          <>
            <div className="dm-menu-head">
              <Text size="sm" fw={600}>
                {user.display_name || user.name}
              </Text>
              <Text size="xs" c="dimmed">
                {user.name}
              </Text>
            </div>
            <Menu.Divider />
          </>
        ) : null}
        <Item action={actions.account} />
        <Item action={actions.groups} />
        <Item action={actions.admin} />
        <Menu.Divider />
        <Item action={actions.theme} />
        <Item action={actions.help} />
        <Item action={actions.docs} />
        {user ? <Menu.Divider /> : null}
        <Item action={actions["sign-out"]} />
      </Menu.Dropdown>
    </Menu>
  );
}
