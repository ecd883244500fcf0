/** Container images of a project. */
import { IconStack2 } from "@tabler/icons-react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { flat, queries } from "@/api/queries";
import type { ImageRepository } from "@/api/types";
import { useProject } from "@/app/project";
import { Empty, Loaded, More, PageHead, Panel, useTitle } from "@/ui/bits";
import { Copy, CopyField } from "@/ui/Copy";
import { bytes, plural, short } from "@/ui/format";
import { TimeAgo } from "@/ui/TimeAgo";

export const useRegistry = (): string => {
  const project = useProject();
  return project.registry ?? `${window.location.host}/${project.path}`;
};

function Tags({ image }: { image: ImageRepository }) {
  const project = useProject();
  const registry = useRegistry();
  const host = registry.split("/", 1)[0] ?? registry;
  const query = useInfiniteQuery(queries.imageTags(project.id, image.name));
  const count = Array.isArray(image.tags) ? image.tags.length : image.tags;
  return (
    <Panel
      flush
      label={image.name}
      title={
        <>
          <IconStack2 size={16} className="dm-dim" aria-hidden />
          <span className="dm-ellipsis">{image.name}</span>
        </>
      }
      actions={
        <span className="dm-dim" style={{ fontSize: 12.5, paddingRight: 8 }}>
          {plural(count, "tag")}, pushed <TimeAgo at={image.updated_at} />
        </span>
      }
    >
      <Loaded query={query} rows={3}>
        {(data) => (
          <ul className="dm-list">
            {flat(data).map((tag) => (
              <li key={tag.tag + tag.digest}>
                <div className="dm-grow">
                  <strong className="dm-mono">{tag.tag || "(no tag)"}</strong>
                  <div className="dm-meta">
                    <span className="dm-mono" title={tag.digest}>
                      sha256:{short(tag.digest)}
                      <Copy text={tag.digest} label="Copy digest" size={20} />
                    </span>
                    <span>{bytes(tag.size)}</span>
                    <span className="dm-hide-phone">
                      {tag.media_type.includes("index") || tag.media_type.includes("list")
                        ? "multi-platform index"
                        : "image"}
                    </span>
                    <span>
                      <TimeAgo at={tag.pushed_at} />
                    </span>
                  </div>
                </div>
                <Copy
                  text={`docker pull ${host}/${image.name}${tag.tag ? `:${tag.tag}` : `@${tag.digest}`}`}
                  label="Copy the pull command"
                />
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      <More query={query} />
    </Panel>
  );
}

export default function Images() {
  const project = useProject();
  useTitle("Images", project.path);
  const registry = useRegistry();
  const query = useQuery(queries.images(project.id));
  return (
    <>
      <PageHead title="Images" about="Container images that builds and people have pushed." />
      <Loaded query={query}>
        {(data) =>
          data.items.length === 0 ? (
            <Panel title="Push an image">
              <Empty small icon={IconStack2} title="No images yet">
                A workflow's image build puts them here. By hand:
              </Empty>
              <div className="dm-gap" style={{ maxWidth: 640, margin: "0 auto" }}>
                <CopyField label="Login command" text={`docker login ${registry.split("/", 1)[0]}`} />
                <CopyField label="Tag command" text={`docker tag my-image ${registry}:latest`} />
                <CopyField label="Push command" text={`docker push ${registry}:latest`} />
              </div>
            </Panel>
          ) : (
            <div className="dm-gap">
              {data.items.map((image) => (
                <Tags key={image.name} image={image} />
              ))}
            </div>
          )
        }
      </Loaded>
    </>
  );
}
