/** What a running job asks of people: a form for each question, with the ways to go on and to stop. */
import { Button, Checkbox, Group, NativeSelect, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { IconHandStop } from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { fieldErrors, post } from "@/api/client";
import type { Job, JobQuestion } from "@/api/types";
import { useUser } from "@/app/session";
import { visible } from "@/ui/bidi";
import { FormError, Panel } from "@/ui/bits";
import { TimeAgo } from "@/ui/TimeAgo";

type Values = Record<string, unknown>;
type Field = JobQuestion["parameters"][number];

function Parameter(props: {
  field: Field;
  value: unknown;
  error: string | undefined;
  disabled: boolean;
  set: (value: unknown) => void;
}) {
  const { field, value, set } = props;
  const shared = {
    label: visible(field.name),
    description: field.description ? visible(field.description) : undefined,
    error: props.error,
    disabled: props.disabled,
    size: "sm",
  } as const;
  if (field.kind === "boolean") {
    return <Checkbox {...shared} checked={value === true} onChange={(e) => set(e.currentTarget.checked)} />;
  }
  if (field.kind === "choice") {
    return (
      <NativeSelect
        {...shared}
        data={field.choices}
        value={String(value)}
        onChange={(e) => set(e.currentTarget.value)}
      />
    );
  }
  const text = { ...shared, value: String(value ?? ""), autoComplete: "off" };
  return field.kind === "text" ? (
    <Textarea {...text} autosize minRows={3} maxRows={12} onChange={(e) => set(e.currentTarget.value)} />
  ) : (
    <TextInput {...text} onChange={(e) => set(e.currentTarget.value)} />
  );
}

function Question({ job, question, may }: { job: Job; question: JobQuestion; may: boolean }) {
  const client = useQueryClient();
  const user = useUser();
  const [values, setValues] = useState<Values>(() =>
    Object.fromEntries(question.parameters.map((p) => [p.name, p.default])),
  );
  const answer = useMutation({
    mutationFn: (abort: boolean) =>
      post(
        "/jobs/{job}/play",
        { abort, question: question.id, parameters: abort ? {} : values },
        { path: { job: job.id } },
      ),
    onSettled: () => client.invalidateQueries({ queryKey: ["run", job.run_id] }),
  });
  const fields = fieldErrors(answer.error);
  const names = question.parameters.map((p) => `parameters.${p.name}`);
  const asked =
    question.submitters.length === 0 || (user && (user.admin || question.submitters.includes(user.name)));
  const mine = may && asked;
  return (
    <Panel
      className="dm-question"
      label={`Question: ${question.message}`}
      title={
        <>
          <IconHandStop size={18} className="dm-text-wait" aria-hidden />
          <span className="dm-break dm-question-text">{visible(question.message)}</span>
        </>
      }
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          answer.mutate(false);
        }}
      >
        <Stack gap="sm" maw={560}>
          <div className="dm-meta">
            <span>
              asked <TimeAgo at={question.asked_at} />
            </span>
            {question.submitters.length > 0 ? (
              <span className="dm-break">for {question.submitters.join(", ")}</span>
            ) : null}
          </div>
          {question.parameters.map((field) => (
            <Parameter
              key={field.name}
              field={field}
              value={values[field.name]}
              error={fields[`parameters.${field.name}`]}
              disabled={!mine}
              set={(value) => setValues((all) => ({ ...all, [field.name]: value }))}
            />
          ))}
          <FormError error={answer.error} known={names} />
          {mine ? (
            <Group gap="xs">
              <Button type="submit" loading={answer.isPending && !answer.variables}>
                {visible(question.ok)}
              </Button>
              <Button
                variant="default"
                loading={answer.isPending && answer.variables === true}
                onClick={() => answer.mutate(true)}
              >
                Abort
              </Button>
            </Group>
          ) : (
            <Text size="sm" c="dimmed">
              {!user
                ? "Sign in to answer."
                : may
                  ? `Only ${question.submitters.join(", ")} may answer.`
                  : "Who may start runs of this project can answer."}
            </Text>
          )}
        </Stack>
      </form>
    </Panel>
  );
}

/** The open questions of a job; nothing when it asks nothing. */
export function Questions({ job, may }: { job: Job; may: boolean }) {
  return job.questions?.map((question) => (
    <Question key={question.id} job={job} question={question} may={may} />
  ));
}
