/** The ids that OpenAI's lists are paged by. */
export const edges = (data: readonly { id: string }[]) => ({
  first_id: data.at(0)?.id ?? null,
  last_id: data.at(-1)?.id ?? null,
});
