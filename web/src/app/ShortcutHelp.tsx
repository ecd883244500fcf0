import { Kbd, Modal } from "@mantine/core";
import { shortcutLabel, useAllActions } from "./actions";

export default function ShortcutHelp({ onClose }: { onClose: () => void }) {
  const actions = useAllActions().filter((a) => a.shortcut);
  const groups = [...new Set(actions.map((a) => a.group))];
  return (
    <Modal opened onClose={onClose} title="Keyboard shortcuts" size="md">
      {groups.map((group) => (
        <section key={group} className="dm-shortcuts">
          <h3>{group}</h3>
          <dl>
            {actions
              .filter((a) => a.group === group)
              .map((a) => (
                <div key={a.id}>
                  <dt>{a.name}</dt>
                  <dd>
                    {shortcutLabel(a.shortcut ?? "").map((key, i) => (
                      <Kbd key={i} size="xs">
                        {key}
                      </Kbd>
                    ))}
                  </dd>
                </div>
              ))}
          </dl>
        </section>
      ))}
    </Modal>
  );
}
