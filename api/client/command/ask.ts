import { limits } from "../../contract/limits.ts";
import type { Run } from "./command.ts";
import { EXIT } from "./exit-status.ts";
import { printAnswers } from "./print-answers.ts";
import { createQuestionCommand } from "./question-options.ts";
import { submitQuestion } from "./submit-question.ts";
import { assertSucceeded, waitForJob } from "./wait-for-job.ts";

export const askCommand = (run: Run) =>
  createQuestionCommand("ask", "ask questions about documents, wait, and print the answers")
    .addHelpText("after", EXAMPLES)
    .action((files, options) =>
      run(options, async (context) => {
        const job = await submitQuestion(context, files, options);
        const { id } = assertSucceeded(await waitForJob(context, job, options.maxTokens ?? limits.defaultMaxTokens));
        printAnswers(context, await context.client.result({ id }));
        return EXIT.done;
      }),
    );

const EXAMPLES = `
Examples:
  gnomon ask minutes.txt -q "When does contract KD-4417 expire?"
  gnomon ask a.pdf b.html -q "Who signed?" -q "When?" --max-tokens 64
  curl -s https://example.com/minutes.html | gnomon ask -q "Who signed?"`;
