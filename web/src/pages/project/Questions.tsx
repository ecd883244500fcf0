/** What a running job asks of people: a form for each question, with the ways to go on and to stop. */
import { Button, Checkbox, Group, NativeSelect, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { post } from "@/api/client";
import type { Job, JobQuestion } from "@/api/types";
import { toastError } from "@/app/toast";
import { Panel } from "@/ui/bits";

type Values = Record<string, unknown>;
type Field = JobQuestion["parameters"][number];

function Parameter({ field, value, set }: { field: Field; value: unknown; set: (value: unknown) => void }) {
  const shared = { label: field.name, description: field.description || undefined, size: "xs" } as const;
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
  const Input = field.kind === "text" ? Textarea : TextInput;
  return <Input {...shared} value={String(value ?? "")} onChange={(e) => set(e.currentTarget.value)} />;
}

function Question({ job, question, may }: { job: Job; question: JobQuestion; may: boolean }) {
  const client = useQueryClient();
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
    onError: (error) => toastError("The answer was not taken", error),
    onSettled: () => client.invalidateQueries({ queryKey: ["run", job.run_id] }),
  });
  return (
    <Panel title={question.message} className="dm-question">
      <Stack gap="xs" align="flex-start">
        {question.submitters.length > 0 ? (
          <Text size="xs" c="dimmed">
            For {question.submitters.join(", ")}
          </Text>
        ) : null}
        {question.parameters.map((field) => (
          <Parameter
            key={field.name}
            field={field}
            value={values[field.name]}
            set={(value) => setValues((all) => ({ ...all, [field.name]: value }))}
          />
        ))}
        {may ? (
          <Group gap="xs">
            <Button size="xs" loading={answer.isPending} onClick={() => answer.mutate(false)}>
              {question.ok}
            </Button>
            <Button
              size="xs"
              variant="default"
              disabled={answer.isPending}
              onClick={() => answer.mutate(true)}
            >
              Abort
            </Button>
          </Group>
        ) : null}
      </Stack>
    </Panel>
  );
}

/** The open questions of a job; nothing when it asks nothing. */
export function Questions({ job, may }: { job: Job; may: boolean }) {
  return job.questions?.map((question) => (
    <Question key={question.id} job={job} question={question} may={may} />
  ));
}
