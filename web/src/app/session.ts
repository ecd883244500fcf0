/** Who is using the client. */
import { useQuery } from "@tanstack/react-query";
import { queries } from "@/api/queries";
import type { User } from "@/api/types";

export function useUser(): User | null | undefined {
  return useQuery(queries.session()).data;
}
