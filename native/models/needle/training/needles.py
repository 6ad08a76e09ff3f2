"""The sentences that are hidden in documents, and the questions that they answer.

The wording is fixed: the model knows these sentences, questions and answers and no others.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

KINDS = ("niah", "fact", "multivalue", "multiquery", "decisions", "absent", "variable_tracking")
MONTHS = tuple(
    "January February March April May June July August September October November December".split()
)
VERBS = tuple(
    "adopt approve archive audit cancel close defer expand fund merge move open postpone publish replace review "
    "sell suspend update withdraw".split()
)
CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # no I and O, which look like digits
MAX_DECISIONS = 5
# How often each kind is asked in training.
TURN_WEIGHTS = {
    "niah": 3,
    "fact": 4,
    "multivalue": 2,
    "multiquery": 2,
    "decisions": 2,
    "absent": 1,
    "variable_tracking": 1,
}


@dataclass(frozen=True)
class Names:
    """Draws the keys and values that needle sentences are made of."""

    rng: Random
    words: tuple[str, ...]

    def word(self) -> str:
        return self.rng.choice(self.words)

    def pair(self) -> str:
        return f"{self.word()} {self.word()}"

    def proper(self) -> str:
        return f"{self.word().capitalize()} {self.word().capitalize()}"

    def key(self) -> str:
        return f"{self.word()}-{self.word()}"

    def number(self, digits: int) -> str:
        return str(self.rng.randrange(10 ** (digits - 1), 10**digits))

    def hexadecimal(self) -> str:
        return f"{self.rng.getrandbits(48):012x}"

    def code(self) -> str:
        return f"{''.join(self.rng.choices(CODE_LETTERS, k=2))}-{self.number(4)}"

    def date(self) -> str:
        return f"{self.rng.randint(1, 28)} {self.rng.choice(MONTHS)} {self.rng.randint(1990, 2039)}"

    def euros(self) -> str:
        return f"{self.number(5)} euros"

    def variable(self) -> str:
        return "".join(self.rng.choices(string.ascii_uppercase, k=4))

    def magic_value(self) -> str:
        kind = self.rng.random()
        if kind < 0.7:
            return self.number(7)
        return self.hexadecimal() if kind < 0.85 else self.word()


@dataclass(frozen=True)
class Question:
    kind: str
    text: str
    answer: str


@dataclass
class Needles:
    """Groups of sentences, each in the order that it must keep, and the questions that they answer."""

    groups: list[list[str]] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    # Key and value of every magic number that has one value: a question about two keys is made of these.
    single_values: list[tuple[str, str]] = field(default_factory=list)

    @property
    def num_sentences(self) -> int:
        return sum(len(group) for group in self.groups)

    def add(self, sentences: list[str], question: Question) -> None:
        self.groups.append(sentences)
        self.questions.append(question)


@dataclass(frozen=True)
class Fact:
    """One kind of fact. The answer repeats the sentence; the question asks for its value by its key."""

    key: Callable[[Names], str]
    value: Callable[[Names], str]
    sentence: str
    question: str


FACTS = (
    Fact(Names.proper, Names.proper, "The {key} project is led by {value}.", "Who leads the {key} project?"),
    Fact(Names.code, Names.date, "Contract {key} expires on {value}.", "When does contract {key} expire?"),
    Fact(
        Names.proper,
        Names.proper,
        "The warehouse in {key} is managed by {value}.",
        "Who manages the warehouse in {key}?",
    ),
    Fact(Names.code, Names.euros, "Invoice {key} was settled for {value}.", "For how much was invoice {key} settled?"),
    Fact(
        Names.key,
        Names.hexadecimal,
        "The access token of the {key} service is {value}.",
        "What is the access token of the {key} service?",
    ),
    Fact(
        Names.proper,
        Names.date,
        "The clinic in {key} was opened on {value}.",
        "When was the clinic in {key} opened?",
    ),
    Fact(Names.proper, Names.pair, "{key} was hired to study the {value}.", "What was {key} hired to study?"),
)


def single_value_question(key: str, value: str) -> Question:
    """What a document says of one magic number; the same question about an unknown key has `absent_question`'s answer."""
    subject = f"special magic number for {key} mentioned in the provided text"
    return Question("niah", f"What is the {subject}?", f"The {subject} is: {value}.")


def absent_question(names: Names) -> Question:
    asked = single_value_question(names.key(), "")
    return Question("absent", asked.text, "The provided text does not mention it.")


def two_keys_question(first: tuple[str, str], second: tuple[str, str]) -> Question:
    subject = f"special magic numbers for {first[0]} and {second[0]} mentioned in the provided text"
    return Question(
        "multiquery", f"What are the {subject}?", f"The {subject} are: {first[1]} and {second[1]}."
    )


def add_magic_number(needles: Needles, names: Names, num_values: int) -> None:
    key, values = names.key(), [names.magic_value() for _ in range(num_values)]
    sentences = [f"One of the special magic numbers for {key} is: {value}." for value in values]
    if num_values == 1:
        needles.add(sentences, single_value_question(key, values[0]))
        needles.single_values.append((key, values[0]))
        return
    subject = f"special magic numbers for {key} mentioned in the provided text"
    answer = f"The {subject} are: {', '.join(values)}."
    needles.add(sentences, Question("multivalue", f"What are all the {subject}?", answer))


def add_fact(needles: Needles, names: Names) -> None:
    fact = names.rng.choice(FACTS)
    key, value = fact.key(names), fact.value(names)
    sentence = fact.sentence.format(key=key, value=value)
    needles.add([sentence], Question("fact", fact.question.format(key=key), sentence))


def add_decisions(needles: Needles, names: Names) -> None:
    """The numbered decisions of the document. One list a document: there is one question for all lists."""
    decisions = [
        f"Decision {number}: the board will {names.rng.choice(VERBS)} the {names.pair()} by {names.rng.choice(MONTHS)}."
        for number in range(1, names.rng.randint(1, MAX_DECISIONS) + 1)
    ]
    question = "Summarize the decisions recorded in the provided text."
    needles.add(decisions, Question("decisions", question, " ".join(decisions)))


def add_variables(needles: Needles, names: Names) -> None:
    """A chain of assignments; the question asks for every variable that ends up with the number at its start."""
    variables = [names.variable() for _ in range(names.rng.randint(2, 4))]
    value = names.number(5)
    sentences = [f"VAR {variables[0]} = {value}."]
    sentences += [f"VAR {new} = VAR {old}." for old, new in zip(variables, variables[1:])]
    question = f"Find all variables that are assigned the value {value} in the provided text."
    answer = f"The variables assigned the value {value} are: {', '.join(variables)}."
    needles.add(sentences, Question("variable_tracking", question, answer))


def add_random(needles: Needles, names: Names) -> None:
    """One needle group as it comes: 35 % one magic number, 9 % several for a key, 40 % facts, the rest lists and chains."""
    chance = names.rng.random()
    if chance < 0.35:
        add_magic_number(needles, names, 1)
    elif chance < 0.44:
        add_magic_number(needles, names, names.rng.randint(2, 4))
    elif chance < 0.84:
        add_fact(needles, names)
    elif chance < 0.93:
        if all(question.kind != "decisions" for question in needles.questions):
            add_decisions(needles, names)
    else:
        add_variables(needles, names)


def plant(needles: Needles, names: Names, kind: str) -> Question:
    """Adds the sentences that a question of this kind asks for, and returns the question."""
    match kind:
        case "niah":
            add_magic_number(needles, names, 1)
        case "fact":
            add_fact(needles, names)
        case "multivalue":
            add_magic_number(needles, names, names.rng.randint(2, 4))
        case "multiquery":
            add_magic_number(needles, names, 1)
            add_magic_number(needles, names, 1)
            return two_keys_question(*needles.single_values)
        case "decisions":
            add_decisions(needles, names)
        case "variable_tracking":
            add_variables(needles, names)
        case "absent":
            return absent_question(names)
        case _:
            raise ValueError(f"unknown kind {kind!r}; known: {', '.join(KINDS)}")
    return needles.questions[-1]


def fill_up(needles: Needles, names: Names, num_sentences: int) -> None:
    """Adds needles of random kinds until there are at least `num_sentences` sentences."""
    while needles.num_sentences < num_sentences:
        add_random(needles, names)


def interleave(groups: list[list[str]], rng: Random) -> list[str]:
    """The sentences in random order, except that each group keeps its own."""
    turns = [index for index, group in enumerate(groups) for _ in group]
    rng.shuffle(turns)
    remaining = [iter(group) for group in groups]
    return [next(remaining[index]) for index in turns]


def draw_turns(needles: Needles, names: Names, num_turns: int) -> list[Question]:
    """Questions for one conversation about these needles; any may be asked again."""
    pool = list(needles.questions)
    if len(needles.single_values) >= 2 and names.rng.random() < 0.5:
        pool.append(two_keys_question(*names.rng.sample(needles.single_values, 2)))
    if names.rng.random() < 0.5:
        pool.append(absent_question(names))
    by_kind = {kind: [question for question in pool if question.kind == kind] for kind in KINDS}
    asked = [kind for kind in KINDS if by_kind[kind]]
    drawn = names.rng.choices(asked, [TURN_WEIGHTS[kind] for kind in asked], k=num_turns)
    return [names.rng.choice(by_kind[kind]) for kind in drawn]
