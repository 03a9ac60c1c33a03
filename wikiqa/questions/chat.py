"""Chat models, local or behind an OpenAI-compatible endpoint; what they replied is kept."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from elusive.common.cache import cache_folder
from elusive.common.endpoints import endpoint_client, one_line_errors
from elusive.common.folders import parameters_hash
from elusive.wikiqa.questions.kept_replies import KeptReplies

AT_ONCE = 8
"""Requests to an endpoint at a time."""
KEPT = " The same command goes on from the replies that there are"
TOGETHER = 64
"""Prompts after whose replies these are kept: what a killed run loses at most."""

Ask = Callable[[list[str], int], list[str]]
"""Replies to prompts, given the most tokens that one may have."""


@dataclass(frozen=True)
class ChatModel:
    """Something that replies to prompts, always alike to equal ones as far as it can."""

    name: str
    """As the user gave it."""
    identity: str
    """What tells another model of that name apart: hash of the weights, or the endpoint."""
    ask: Ask


def chat_model(reference: str, endpoint: str | None = None) -> ChatModel:
    """A chat model whose replies are looked up first among those that it gave before.

    Args:
        reference: model reference (Hub id, folder, GGUF file, name), or its name at the endpoint.
        endpoint: base address of an OpenAI-compatible server, such as http://localhost:8000/v1;
            the key is taken from `OPENAI_API_KEY`.

    Raises:
        InputError: there is no such model; later, on asking, the endpoint does not answer.
    """
    if endpoint:
        return kept(ChatModel(reference, endpoint, _endpoint_ask(reference, endpoint)))
    from elusive.common.lm.local_chat import local_replies
    from elusive.common.lm.references import reference_hash

    return kept(ChatModel(reference, reference_hash(reference), partial(local_replies, reference)))


def kept(model: ChatModel) -> ChatModel:
    """The same model, with every reply kept in the cache folder under a hash of its prompt."""
    replies = KeptReplies(cache_folder() / "replies.sqlite")

    def ask(prompts: list[str], max_tokens: int) -> list[str]:
        keys = [_key(model, prompt, max_tokens) for prompt in prompts]
        found = replies.find(keys)
        by_key = dict(zip(keys, prompts, strict=True))
        missing = {key: prompt for key, prompt in by_key.items() if key not in found}
        wanted = list(missing)
        for first in range(0, len(wanted), TOGETHER):
            together = wanted[first : first + TOGETHER]
            new = model.ask([missing[key] for key in together], max_tokens)
            answered = dict(zip(together, new, strict=True))
            replies.keep(answered)
            found |= answered
        return [found[key] for key in keys]

    return ChatModel(model.name, model.identity, ask)


def _key(model: ChatModel, prompt: str, max_tokens: int) -> str:
    """Under which a reply is kept."""
    return parameters_hash([model.name, model.identity, max_tokens, prompt])


def _endpoint_ask(name: str, endpoint: str) -> Ask:
    """Ask a server, several prompts at a time, with waits between repeated requests."""
    client = endpoint_client(endpoint)

    def ask_one(prompt: str, max_tokens: int) -> str:
        with one_line_errors(endpoint, name, kept=KEPT):
            reply = client.chat.completions.create(
                model=name,
                messages=[{"role": "user", "content": prompt}],
                max_tokens=max_tokens,
                temperature=0,
            )
        return reply.choices[0].message.content or ""

    def ask(prompts: list[str], max_tokens: int) -> list[str]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda prompt: ask_one(prompt, max_tokens), prompts))

    return ask
