import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { type ReactNode, useState } from "react";
import { FormError } from "./bits";

/** Asks before something that can't easily be taken back; optionally the name must be typed. */
export function Confirm(props: {
  opened: boolean;
  onClose: () => void;
  title: string;
  children?: ReactNode;
  verb: string;
  danger?: boolean;
  /** Text that must be typed to go on. */
  type?: string;
  busy?: boolean;
  error?: unknown;
  onConfirm: () => void;
}) {
  const [typed, setTyped] = useState("");
  const ready = !props.type || typed === props.type;
  return (
    <Modal opened={props.opened} onClose={props.onClose} title={props.title} size="md">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) props.onConfirm();
        }}
      >
        <Stack gap="md">
          <Text size="sm" component="div">
            {props.children}
          </Text>
          {props.type ? (
            <TextInput
              label={
                <>
                  Type <code>{props.type}</code> to confirm
                </>
              }
              value={typed}
              onChange={(event) => setTyped(event.currentTarget.value)}
              data-autofocus
              autoComplete="off"
            />
          ) : null}
          <FormError error={props.error} />
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={props.onClose}>
              Keep as it is
            </Button>
            <Button
              type="submit"
              color={props.danger ? "red" : undefined}
              disabled={!ready}
              loading={props.busy}
            >
              {props.verb}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
