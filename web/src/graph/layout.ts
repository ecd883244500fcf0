/** A layered drawing of a small dependency graph: columns by longest path, few crossings, no transitive edges. */
export interface GraphNode {
  id: string;
  key: string;
  needs: string[];
}

export interface Placed<N> {
  node: N;
  column: number;
  row: number;
  x: number;
  y: number;
}

export interface Edge {
  from: string;
  to: string;
  path: string;
}

export interface Layout<N> {
  nodes: Placed<N>[];
  edges: Edge[];
  width: number;
  height: number;
}

export const NODE_WIDTH = 208;
export const NODE_HEIGHT = 44;
const GAP_X = 56;
const GAP_Y = 12;

export function layout<N extends GraphNode>(input: N[]): Layout<N> {
  const byKey = new Map<string, N[]>();
  for (const node of input) byKey.set(node.key, [...(byKey.get(node.key) ?? []), node]);

  // Longest path from a start. A cycle can't come from the server; a guard keeps a broken answer from hanging us.
  const depth = new Map<string, number>();
  const depthOf = (key: string, seen: ReadonlySet<string>): number => {
    const known = depth.get(key);
    if (known !== undefined) return known;
    if (seen.has(key)) return 0;
    const needs = byKey.get(key)?.[0]?.needs.filter((n) => byKey.has(n)) ?? [];
    const value =
      needs.length === 0 ? 0 : 1 + Math.max(...needs.map((n) => depthOf(n, new Set([...seen, key]))));
    depth.set(key, value);
    return value;
  };
  for (const key of byKey.keys()) depthOf(key, new Set());

  const columns: N[][] = [];
  for (const node of input) {
    const column = depth.get(node.key) ?? 0;
    const list = columns[column] ?? [];
    list.push(node);
    columns[column] = list;
  }

  // Order each column by the middle of what it needs; input order breaks ties.
  const rowOf = new Map<string, number>();
  for (const column of columns) {
    const weight = new Map(
      (column ?? []).map((node, i) => {
        const rows = node.needs.flatMap((key) => byKey.get(key) ?? []).map((n) => rowOf.get(n.id) ?? 0);
        return [node.id, rows.length > 0 ? rows.reduce((a, b) => a + b, 0) / rows.length : i] as const;
      }),
    );
    column?.sort((a, b) => (weight.get(a.id) ?? 0) - (weight.get(b.id) ?? 0));
    column?.forEach((node, i) => {
      rowOf.set(node.id, i);
    });
  }

  const tallest = Math.max(1, ...columns.map((c) => c?.length ?? 0));
  const height = tallest * (NODE_HEIGHT + GAP_Y) - GAP_Y;
  const nodes: Placed<N>[] = [];
  columns.forEach((column, c) => {
    const own = column.length * (NODE_HEIGHT + GAP_Y) - GAP_Y;
    column.forEach((node, row) => {
      nodes.push({
        node,
        column: c,
        row,
        x: c * (NODE_WIDTH + GAP_X),
        y: (height - own) / 2 + row * (NODE_HEIGHT + GAP_Y),
      });
    });
  });

  const place = new Map(nodes.map((p) => [p.node.id, p]));
  const edges: Edge[] = [];
  for (const node of input) {
    const to = place.get(node.id);
    for (const key of direct(node, byKey)) {
      for (const source of byKey.get(key) ?? []) {
        const from = place.get(source.id);
        if (from && to) edges.push({ from: source.id, to: node.id, path: curve(from, to) });
      }
    }
  }
  return { nodes, edges, width: Math.max(1, columns.length) * (NODE_WIDTH + GAP_X) - GAP_X, height };
}

/** Needs that are not already reached through another need. */
function direct<N extends GraphNode>(node: N, byKey: Map<string, N[]>): string[] {
  const reach = (key: string, seen: Set<string>): Set<string> => {
    for (const next of byKey.get(key)?.[0]?.needs ?? []) {
      if (!seen.has(next)) {
        seen.add(next);
        reach(next, seen);
      }
    }
    return seen;
  };
  return node.needs.filter(
    (key) => !node.needs.some((other) => other !== key && reach(other, new Set()).has(key)),
  );
}

function curve(from: Placed<unknown>, to: Placed<unknown>): string {
  const x1 = from.x + NODE_WIDTH;
  const y1 = from.y + NODE_HEIGHT / 2;
  const x2 = to.x;
  const y2 = to.y + NODE_HEIGHT / 2;
  const bend = Math.min(40, (x2 - x1) / 2);
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}
