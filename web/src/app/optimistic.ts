/** Mutations that show their result at once and take it back when the server refuses. */
import { type QueryKey, useMutation, useQueryClient } from "@tanstack/react-query";
import { toast, toastError } from "./toast";

export interface Optimistic<Data, Vars, Result> {
  key: QueryKey;
  /** Said when the server refuses: "The role was not changed". */
  failed: string;
  done?: string;
  run: (vars: Vars) => Promise<Result>;
  /** The cached data as it will be if the server agrees. */
  apply?: (old: Data, vars: Vars) => Data;
  onDone?: (result: Result, vars: Vars) => void;
  /** Forms show problems beside their fields and want no toast. */
  quiet?: boolean;
}

export function useOptimistic<Data, Vars = void, Result = unknown>(options: Optimistic<Data, Vars, Result>) {
  const client = useQueryClient();
  return useMutation<Result, unknown, Vars, { old: Data | undefined }>({
    mutationFn: options.run,
    onMutate: async (vars) => {
      await client.cancelQueries({ queryKey: options.key });
      const old = client.getQueryData<Data>(options.key);
      if (old !== undefined && options.apply)
        client.setQueryData<Data>(options.key, options.apply(old, vars));
      return { old };
    },
    onError: (error, _vars, context) => {
      if (context?.old !== undefined) client.setQueryData(options.key, context.old);
      if (!options.quiet) toastError(options.failed, error);
    },
    onSuccess: (result, vars) => {
      if (options.done) toast("ok", options.done);
      options.onDone?.(result, vars);
    },
    onSettled: () => client.invalidateQueries({ queryKey: options.key }),
  });
}
