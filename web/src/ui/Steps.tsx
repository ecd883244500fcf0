/** A flow that goes step by step: creation of a project, a deployment. */
import { Text } from "@mantine/core";
import { words } from "./format";
import { StateIcon } from "./State";
import { Elapsed } from "./TimeAgo";

export interface StepView {
  name: string;
  title?: string;
  state: string;
  detail: string | null;
  started_at: string | null;
  finished_at: string | null;
}

export function Steps({ steps, label }: { steps: StepView[]; label: string }) {
  return (
    <ol className="dm-steps" aria-label={label} aria-live="polite">
      {steps.map((step) => (
        <li
          key={step.name}
          data-state={step.state}
          aria-current={step.state === "running" ? "step" : undefined}
        >
          <StateIcon state={step.state === "completed" ? "done" : step.state} size={18} />
          <div className="dm-grow">
            <div className="dm-step-line">
              <span className="dm-step-title">{step.title ?? words(step.name)}</span>
              <Text size="xs" c="dimmed" component="span">
                <Elapsed from={step.started_at} to={step.finished_at} />
              </Text>
            </div>
            {step.detail ? (
              <Text
                size="xs"
                c={step.state === "failed" ? "var(--dm-bad)" : "dimmed"}
                className="dm-step-detail"
              >
                {step.detail}
              </Text>
            ) : null}
          </div>
        </li>
      ))}
    </ol>
  );
}
