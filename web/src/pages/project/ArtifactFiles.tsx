/** What is in an artifact: its files, each for itself, and a look at those that are short texts. */
import { ActionIcon, Modal, TextInput } from "@mantine/core";
import { IconDownload, IconEye, IconFile, IconSearch } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { address, fetchRaw } from "@/api/client";
import { queries } from "@/api/queries";
import { Empty, Loaded, More, ProblemView, Rows } from "@/ui/bits";
import { bytes } from "@/ui/format";

/** Longer files are not shown. */
const SHOWN = 512 * 1024;

const fileAt = (artifact: string, path: string): string =>
  `${address("/artifacts/{artifact}/file", { artifact })}?path=${encodeURIComponent(path)}`;

function Look({ artifact, path, onClose }: { artifact: string; path: string; onClose: () => void }) {
  const query = useQuery({
    queryKey: ["artifact", artifact, "file", path],
    retry: false,
    queryFn: async ({ signal }): Promise<string | null> => {
      const answer = await fetchRaw("/artifacts/{artifact}/file", {
        path: { artifact },
        query: { path },
        signal,
      });
      return answer.headers.get("content-type")?.startsWith("text/plain") ? answer.text() : null;
    },
  });
  return (
    <Modal opened onClose={onClose} title={path} size="xl">
      {query.isPending ? <Rows n={6} /> : null}
      {query.error ? <ProblemView error={query.error} retry={() => void query.refetch()} /> : null}
      {query.data === null ? (
        <Empty small icon={IconFile} title="No text">
          Download it to see what it is.
        </Empty>
      ) : null}
      {typeof query.data === "string" ? <pre className="dm-converted">{query.data}</pre> : null}
    </Modal>
  );
}

export function ArtifactFiles({ artifact, name }: { artifact: string; name: string }) {
  const [wanted, setWanted] = useState("");
  const [shown, setShown] = useState<string | null>(null);
  const query = useInfiniteQuery({ ...queries.artifactFiles(artifact), retry: false });
  return (
    <section className="dm-artifact-files" aria-label={`Files of ${name}`}>
      <Loaded query={query} rows={3}>
        {(data) => {
          const all = data.pages.flatMap((page) => page.items);
          const files = all.filter((f) => f.path.toLowerCase().includes(wanted.toLowerCase()));
          return (
            <>
              {all.length > 12 ? (
                <TextInput
                  size="xs"
                  aria-label={`Search the files of ${name}`}
                  placeholder="Search the files"
                  leftSection={<IconSearch size={14} />}
                  value={wanted}
                  onChange={(e) => setWanted(e.currentTarget.value)}
                />
              ) : null}
              {all.length === 0 ? (
                <Empty small icon={IconFile} title="No files">
                  The archive is empty.
                </Empty>
              ) : null}
              <ul>
                {files.map((file) => (
                  <li key={file.path}>
                    <IconFile size={15} className="dm-dim" aria-hidden />
                    <span className="dm-mono dm-grow">{file.path}</span>
                    <span className="dm-dim dm-num">{bytes(file.size)}</span>
                    <ActionIcon
                      variant="subtle"
                      aria-label={`Show ${file.path}`}
                      title="Show"
                      disabled={file.size > SHOWN}
                      onClick={() => setShown(file.path)}
                    >
                      <IconEye size={15} />
                    </ActionIcon>
                    <ActionIcon
                      component="a"
                      variant="subtle"
                      href={fileAt(artifact, file.path)}
                      download
                      aria-label={`Download ${file.path}`}
                      title="Download"
                    >
                      <IconDownload size={15} />
                    </ActionIcon>
                  </li>
                ))}
              </ul>
              <More query={query} />
            </>
          );
        }}
      </Loaded>
      {shown !== null ? <Look artifact={artifact} path={shown} onClose={() => setShown(null)} /> : null}
    </section>
  );
}
