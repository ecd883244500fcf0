/** A layered drawing of a small dependency graph: columns by stage or by longest path, few crossings. */
export interface Box {
  id: string;
  needs: string[];
  stage: string | null;
  height: number;
}

export interface Placed<N> {
  node: N;
  column: number;
  x: number;
  y: number;
}

export interface Edge {
  from: string;
  to: string;
  path: string;
}

export interface Column {
  /** Name of the stage that begins here. */
  stage: string | null;
  x: number;
  width: number;
}

export interface Layout<N> {
  nodes: Placed<N>[];
  edges: Edge[];
  /** One for each stage; none where there are no stages. */
  stages: Column[];
  width: number;
  height: number;
}

export const NODE_WIDTH = 208;
export const NODE_HEIGHT = 44;
export const ROW_HEIGHT = 30;
const HEAD = 30;
const GAP_X = 56;
const GAP_Y = 12;
/** What is seen of a graph at once; the rest scrolls. */
export const TALL = 520;

/** The column of each box: the longest way to it; within a stage where there are stages. */
function columnsOf<N extends Box>(
  input: N[],
): { column: Map<string, number>; stages: Map<string, number[]> } {
  const byId = new Map(input.map((n) => [n.id, n]));
  const names = [...new Set(input.map((n) => n.stage))].filter((s): s is string => s !== null);
  const staged = names.length > 0;
  const depth = new Map<string, number>();
  const depthOf = (node: N): number => {
    const known = depth.get(node.id);
    if (known !== undefined) return known;
    // A circle can't come from the server; noted first, a broken answer does not hang us.
    depth.set(node.id, 0);
    const before = node.needs.flatMap((id) => {
      const need = byId.get(id);
      return need && (!staged || need.stage === node.stage) ? [depthOf(need) + 1] : [];
    });
    const value = Math.max(0, ...before);
    depth.set(node.id, value);
    return value;
  };
  for (const node of input) depthOf(node);
  const stages = new Map<string, number[]>();
  if (!staged) return { column: depth, stages };

  const column = new Map<string, number>();
  let next = 0;
  // What has no stage of its own (called jobs) comes first.
  const loose = input.some((n) => n.stage === null);
  for (const name of loose ? [null, ...names] : names) {
    const own = input.filter((n) => n.stage === name);
    const wide = 1 + Math.max(0, ...own.map((n) => depth.get(n.id) ?? 0));
    for (const node of own) column.set(node.id, next + (depth.get(node.id) ?? 0));
    if (name !== null) stages.set(name, [next, wide]);
    next += wide;
  }
  return { column, stages };
}

export function layout<N extends Box>(input: N[]): Layout<N> {
  const { column, stages } = columnsOf(input);
  const columns: N[][] = [];
  for (const node of input) {
    const at = column.get(node.id) ?? 0;
    const list = columns[at] ?? [];
    list.push(node);
    columns[at] = list;
  }

  // Order each column by the middle of what it needs; input order breaks ties.
  const rowOf = new Map<string, number>();
  for (const list of columns) {
    const weight = new Map(
      (list ?? []).map((node, i) => {
        const rows = node.needs.map((id) => rowOf.get(id) ?? 0);
        return [node.id, rows.length > 0 ? rows.reduce((a, b) => a + b, 0) / rows.length : i] as const;
      }),
    );
    list?.sort((a, b) => (weight.get(a.id) ?? 0) - (weight.get(b.id) ?? 0));
    list?.forEach((node, i) => {
      rowOf.set(node.id, i);
    });
  }

  const tall = (list: N[] | undefined) =>
    (list ?? []).reduce((sum, n) => sum + n.height + GAP_Y, list?.length ? -GAP_Y : 0);
  const tallest = Math.max(NODE_HEIGHT, ...columns.map(tall));
  const top = stages.size > 0 ? HEAD : 0;
  const nodes: Placed<N>[] = [];
  const xOf = (c: number) => c * (NODE_WIDTH + GAP_X);
  columns.forEach((list, c) => {
    // Stages read from the top, like the file, and so does what is too tall to be seen at once; else a graph without
    // stages hangs around its middle.
    const hangs = stages.size === 0 && tallest <= TALL;
    let y = top + (hangs ? (tallest - tall(list)) / 2 : 0);
    for (const node of list ?? []) {
      nodes.push({ node, column: c, x: xOf(c), y });
      y += node.height + GAP_Y;
    }
  });

  const place = new Map(nodes.map((p) => [p.node.id, p]));
  const edges: Edge[] = [];
  for (const to of nodes) {
    for (const id of to.node.needs) {
      const from = place.get(id);
      if (from) edges.push({ from: id, to: to.node.id, path: curve(from, to) });
    }
  }
  return {
    nodes,
    edges,
    stages: [...stages].map(([stage, [first = 0, wide = 1]]) => ({
      stage,
      x: xOf(first),
      width: wide * (NODE_WIDTH + GAP_X) - GAP_X,
    })),
    width: Math.max(1, columns.length) * (NODE_WIDTH + GAP_X) - GAP_X,
    height: top + tallest,
  };
}

function curve(from: Placed<Box>, to: Placed<Box>): string {
  const x1 = from.x + NODE_WIDTH;
  const y1 = from.y + NODE_HEIGHT / 2;
  const x2 = to.x;
  const y2 = to.y + NODE_HEIGHT / 2;
  const bend = Math.min(40, Math.abs(x2 - x1) / 2);
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}
