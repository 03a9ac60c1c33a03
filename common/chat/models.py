"""Chat models, local or at an OpenAI-compatible endpoint; their replies are stored."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from elusive.common.cache import prepare_cache_folder
from elusive.common.chat.kept_replies import KeptReplies
from elusive.common.endpoints import build_endpoint_client, shorten_errors
from elusive.common.folders import hash_parameters

AT_ONCE = 8
"""Simultaneous requests to an endpoint."""
KEPT = " Rerun the same command to resume from the stored replies"
SERVED = "served"
"""Identity of all models at endpoints. Servers move, on a cluster with every job, and neither an
address nor a server tells which weights it has; so only the model's name counts."""
VERSION = 2
"""To be raised when a local model replies otherwise to the same prompt."""
TOGETHER = 64
"""Prompts whose replies are stored together; a killed run loses at most these."""

Ask = Callable[[list[str], int], list[str]]
"""Returns replies to prompts, given the most tokens that a reply may have."""


@dataclass(frozen=True)
class ChatModel:
    """A model that replies to prompts, to equal ones equally as far as it can."""

    name: str
    """As the user wrote it."""
    identity: str
    """What tells models of the same name apart: hashes of weights, tokenizer and chat template, and
    the precision; or `SERVED`."""
    ask: Ask


def build_chat_model(reference: str, endpoint: str | None = None) -> ChatModel:
    """Build a chat model that looks up its stored replies first.

    Args:
        reference: model reference (Hub id, folder, GGUF file, name), or its name at the endpoint.
        endpoint: base address of an OpenAI-compatible server, such as http://localhost:8000/v1;
            `OPENAI_API_KEY` holds the key.

    Raises:
        InputError: there is no such model; later, when it is asked, the endpoint does not answer.
    """
    if endpoint:
        return keep_replies(ChatModel(reference, SERVED, _build_endpoint_ask(reference, endpoint)))
    from elusive.common.chat.local import generate_replies
    from elusive.common.lm.loading import choose_model_dtype
    from elusive.common.lm.references import hash_model_weights, hash_settings

    precision = str(choose_model_dtype(reference))
    identity = hash_parameters(
        [hash_model_weights(reference), hash_settings(reference), precision, VERSION]
    )
    return keep_replies(ChatModel(reference, identity, partial(generate_replies, reference)))


def keep_replies(model: ChatModel) -> ChatModel:
    """Return the same model, which stores each reply in the cache folder by its prompt's hash."""
    stored = KeptReplies(prepare_cache_folder() / "replies.sqlite")

    def ask(prompts: list[str], max_tokens: int) -> list[str]:
        keys = [
            hash_parameters([model.name, model.identity, max_tokens, prompt]) for prompt in prompts
        ]
        replies = stored.find(keys)
        prompt_by_key = dict(zip(keys, prompts, strict=True))
        missing = [key for key in prompt_by_key if key not in replies]
        for first in range(0, len(missing), TOGETHER):
            batch = missing[first : first + TOGETHER]
            answers = model.ask([prompt_by_key[key] for key in batch], max_tokens)
            new_replies = dict(zip(batch, answers, strict=True))
            stored.keep(new_replies)
            replies |= new_replies
        return [replies[key] for key in keys]

    return ChatModel(model.name, model.identity, ask)


def _build_endpoint_ask(name: str, endpoint: str) -> Ask:
    client = build_endpoint_client(endpoint)

    def ask_one(prompt: str, max_tokens: int) -> str:
        with shorten_errors(endpoint, name, kept=KEPT):
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
