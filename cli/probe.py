"""`elusive probe`: find out what a model can do."""

import click


@click.command()
@click.argument("model")
def probe(model: str) -> None:
    """Find out in which ways MODEL can be scored, trained and asked.

    MODEL is a Hub id, a local folder, a GGUF file or a built-in name. Each way is tried on short
    texts and compared with plain reading (one text at a time, without padding, masks or caches);
    the first way that gives the same is what all commands use. Differences are in standard
    deviations of the logits. The result is stored, and found again by the hashes of weights, config
    and tokenizer, and by the versions of PyTorch and transformers.

    Exit code: 0 if the model can be asked, 2 if it is refused.

    \b
    elusive probe nano-large
    elusive probe HuggingFaceTB/SmolLM2-135M
    """
    from rich.console import Console

    from elusive.common.lm.loading import load_model
    from elusive.evaluate.answering.batching_probe import find_batching
    from elusive.evaluate.probe_model import build_probe_table, describe_limits, probe_model

    loaded = load_model(model)
    findings = probe_model(loaded)
    Console().print(build_probe_table(loaded, findings))
    for line in describe_limits(loaded):
        click.echo(line)
    find_batching(loaded)
