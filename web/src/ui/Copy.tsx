/** Copying to the clipboard. */
import { ActionIcon, CopyButton, Tooltip } from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";

export function Copy({ text, label = "Copy", size = 28 }: { text: string; label?: string; size?: number }) {
  return (
    <CopyButton value={text} timeout={1500}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? "Copied" : label}>
          <ActionIcon
            size={size}
            onClick={copy}
            aria-label={copied ? "Copied" : label}
            color={copied ? "teal" : "gray"}
          >
            {copied ? <IconCheck size={15} /> : <IconCopy size={15} />}
          </ActionIcon>
        </Tooltip>
      )}
    </CopyButton>
  );
}

/** A value to copy, in a box. */
export function CopyField({ text, label }: { text: string; label: string }) {
  return (
    <div className="dm-copy-field">
      <input
        className="dm-mono"
        readOnly
        value={text}
        aria-label={label}
        onFocus={(event) => event.currentTarget.select()}
      />
      <Copy text={text} label={`Copy ${label.toLowerCase()}`} />
    </div>
  );
}
