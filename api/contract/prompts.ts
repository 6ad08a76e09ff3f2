import type { ChatMessage, JobInput } from "./job-request.ts";

/** A prompt before its tokenising: a document with a question, a conversation, or plain text. */
export type Prompt = { document: string; question: string } | { messages: ChatMessage[] } | { text: string };

/** The prompts of a job, one for each sequence. `documents` are the texts of `input.document_ids`, in that order. */
export function promptsOf(input: JobInput, documents: readonly string[]): Prompt[] {
  const document = documents.join("\n\n");
  switch (input.kind) {
    case "questions":
      return input.questions.map((question) => ({ document, question }));
    case "messages":
      return [{ messages: document === "" ? input.messages : withDocument(input.messages, document) }];
    case "prompt":
      return [{ text: input.prompt }];
    case "batch":
    case "shard":
      // Those are in the input of the batch.
      return [];
  }
}

function withDocument(messages: ChatMessage[], document: string): ChatMessage[] {
  const first = messages.findIndex(({ role }) => role === "user");
  if (first < 0) return [...messages, { role: "user", content: document }];
  return messages.map((message, index) =>
    index === first ? { ...message, content: `${document}\n\n${message.content}` } : message,
  );
}
