import { IconCheck, IconX } from "@tabler/icons-react";
import { useSyncExternalStore } from "react";
import { toastStore } from "./toast";

export function Toasts() {
  const toasts = useSyncExternalStore(toastStore.subscribe, toastStore.all);
  return (
    <div className="dm-toasts" aria-live="polite">
      {toasts.map((toast) => (
        <div
          key={toast.id}
          className={`dm-toast ${toast.kind === "error" ? "dm-bad" : "dm-ok"}`}
          role={toast.kind === "error" ? "alert" : "status"}
        >
          {toast.kind === "error" ? <IconX size={17} aria-hidden /> : <IconCheck size={17} aria-hidden />}
          <div className="dm-grow">
            <strong>{toast.title}</strong>
            {toast.detail ? <div>{toast.detail}</div> : null}
          </div>
          <button type="button" aria-label="Dismiss" onClick={() => toastStore.close(toast.id)}>
            <IconX size={15} aria-hidden />
          </button>
        </div>
      ))}
    </div>
  );
}
