import { Notification } from "@mantine/core";
import { IconCheck, IconX } from "@tabler/icons-react";
import { useSyncExternalStore } from "react";
import { toastStore } from "./toast";

export function Toasts() {
  const toasts = useSyncExternalStore(toastStore.subscribe, toastStore.all);
  return (
    <div className="dm-toasts" aria-live="polite">
      {toasts.map((toast) => (
        <Notification
          key={toast.id}
          role={toast.kind === "error" ? "alert" : "status"}
          color={toast.kind === "error" ? "red" : "teal"}
          icon={toast.kind === "error" ? <IconX size={16} /> : <IconCheck size={16} />}
          title={toast.title}
          onClose={() => toastStore.close(toast.id)}
          closeButtonProps={{ "aria-label": "Dismiss" }}
          withBorder
        >
          {toast.detail}
        </Notification>
      ))}
    </div>
  );
}
