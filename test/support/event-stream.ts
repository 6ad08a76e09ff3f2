export type ReceivedEvent = { event: string; data: any; id: string };

/** The server-sent events of a response, one after the other; its body is given up when the loop is left. */
export async function* eventsOf(response: Response): AsyncGenerator<ReceivedEvent> {
  if (response.body === null) return;
  let rest = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + chunk).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const fields = new Map(
        block.split("\n").map((line) => {
          const colon = line.indexOf(":");
          return [line.slice(0, colon), line.slice(colon + 1).trimStart()] as const;
        }),
      );
      const data = fields.get("data");
      if (data === undefined) continue;
      yield { event: fields.get("event") ?? "message", data: JSON.parse(data), id: fields.get("id") ?? "" };
    }
  }
}

/** The events up to the first that `isLast` holds for. */
export async function readEvents(response: Response, isLast: (event: ReceivedEvent) => boolean) {
  const events: ReceivedEvent[] = [];
  for await (const event of eventsOf(response)) {
    events.push(event);
    if (isLast(event)) break;
  }
  return events;
}
