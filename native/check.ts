import { EngineError, type EngineErrorCode } from "./engine-error.ts";

/** Checks of what a caller passed: each returns the value or throws, naming it and saying what would do. */
export type Check = {
  wholeNumber(name: string, value: unknown, min: number, max?: number): number;
  number(name: string, value: unknown, min: number, max?: number): number;
  oneOf<T extends string>(name: string, value: unknown, choices: readonly T[]): T;
  boolean(name: string, value: unknown): boolean;
  text(name: string, value: unknown): string;
  /** An object with no other keys than these. */
  keys(name: string, value: unknown, known: readonly string[]): void;
  refuse(message: string): never;
};

export function createCheck(code: EngineErrorCode): Check {
  const refuse = (message: string): never => {
    throw new EngineError(code, message);
  };
  const expect = (name: string, value: unknown, remedy: string): never =>
    refuse(`${name} is ${show(value)}; give ${remedy}`);
  const inRange = (value: number, min: number, max: number) => value >= min && value <= max;
  const range = (min: number, max: number) =>
    max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;

  return {
    refuse,
    wholeNumber(name, value, min, max = Number.MAX_SAFE_INTEGER) {
      if (typeof value === "number" && Number.isSafeInteger(value) && inRange(value, min, max)) return value;
      return expect(name, value, `a whole number ${range(min, max)}`);
    },
    number(name, value, min, max = Number.MAX_SAFE_INTEGER) {
      if (typeof value === "number" && inRange(value, min, max)) return value;
      return expect(name, value, `a number ${range(min, max)}`);
    },
    oneOf(name, value, choices) {
      const found = choices.find((choice) => choice === value);
      return found ?? expect(name, value, choices.map((choice) => JSON.stringify(choice)).join(" or "));
    },
    boolean(name, value) {
      return typeof value === "boolean" ? value : expect(name, value, "true or false");
    },
    text(name, value) {
      return typeof value === "string" ? value : expect(name, value, "a text");
    },
    keys(name, value, known) {
      if (typeof value !== "object" || value === null) return expect(name, value, "an object");
      for (const key of Object.keys(value)) {
        if (!known.includes(key)) refuse(`${name} has no "${key}"; it takes ${known.join(", ")}`);
      }
    },
  };
}

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "object" && value !== null) return `of type ${value.constructor?.name ?? "object"}`;
  return typeof value === "function" ? "a function" : String(value);
}
