"""What plans for large models would take on some GPUs, from counted tokens; nothing is trained.

Two figures bound the time. The first is tokens over the published throughput of long, full rows,
which short texts do not reach. The second is steps times the milliseconds of a layer that we
measured: a step of a few short texts takes as long as its kernels take to start, whatever the
width of the layers. A plan takes the larger of the two, plus answering.

Sources:
    LoRA on H100, FP8, rows packed to 4,096 tokens: NVIDIA NeMo 24.12's table of performance gives
        24,824 tokens per second and GPU for 7B and 2,621 for 70B; other sizes are read off the line
        between them (logarithms of both).
    9 ms a layer and step: `benchmarks/gpu.py` on an H200, bfloat16, models of up to 1B parameters.

python benchmarks/gpu_plans.py --gpus 8 --price 3
"""

from dataclasses import dataclass
from math import exp, log
from pathlib import Path

import click

from elusive.common.large.sizes import build_empty_model
from elusive.evaluate.dry_run import count_work, load_content, measure_size, take_longest
from elusive.evaluate.jobs import list_jobs
from elusive.evaluate.plans import Plan, load_plan

PLANS = ("paper-gemma2-2b", "paper-gemma2-9b", "paper-llama3-8b", "paper-llama3-70b")
PUBLISHED = ((7e9, 24_824), (70e9, 2_621))
"""Parameters, and tokens per second and GPU."""
STEP_MS, FORWARD_MS = 9.0, 3.0
"""A layer's milliseconds in a step of training, and in a forward pass: a third."""
ANSWERED_TOGETHER, ANSWER_TOKENS = 32, 12


@dataclass(frozen=True)
class Work:
    """Work of a plan, its sweep included."""

    trainings: int
    tokens: float
    steps: int
    questions: int


def count_plan(plan: Plan) -> Work:
    """Count what a plan trains and asks, if every trial takes the most epochs."""
    contents = {name: load_content(plan, name, source) for name, source in plan.sources.items()}
    trainings, tokens, steps, questions = 0, 0.0, 0, 0
    for job in (take_longest(job, plan) for job in list_jobs(plan)):
        size = measure_size(job.model, *contents[job.dataset])
        job_tokens, job_steps = count_work(job, size)
        times = 1
        if plan.sweep and job.arm and job.seed == plan.seeds[0]:
            times += plan.sweep.num_trials * len(plan.sweep.seeds)
        trainings += times * (job.arm is not None)
        tokens, steps = tokens + times * job_tokens, steps + times * job_steps
        questions += times * size.questions
    return Work(trainings, tokens, steps, questions)


def interpolate_rate(parameters: float) -> float:
    """Return the published tokens per second and GPU of LoRA with a model of some size."""
    (small, fast), (large, slow) = PUBLISHED
    slope = log(slow / fast) / log(large / small)
    return fast * exp(slope * log(parameters / small))


@click.command()
@click.option("--gpus", default=8)
@click.option("--price", default=3.0, help="Dollars for an hour of a GPU.")
def main(gpus: int, price: float) -> None:
    header = ("plan", "trainings", "million tokens", "steps", "GPUs a cell")
    header += ("hours by throughput", "hours by steps", "hours of answering", f"cost at ${price:g}")
    print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for name in PLANS:
        plan = load_plan(Path(name))
        work, (model,) = count_plan(plan), plan.trained
        empty = build_empty_model(model).model
        layers = empty.config.get_text_config().num_hidden_layers
        per_cell = max(1, plan.resources.get_for(model).gpus)
        throughput = work.tokens / interpolate_rate(empty.num_parameters()) / gpus / 3600
        at_once = gpus // per_cell
        by_steps = work.steps * layers * STEP_MS / 1000 / at_once / 3600
        passes = work.questions / ANSWERED_TOGETHER * ANSWER_TOKENS
        answering = passes * layers * FORWARD_MS / 1000 / at_once / 3600
        cost = (max(throughput, by_steps) + answering) * gpus * price
        cells = (name, work.trainings, f"{work.tokens / 1e6:.0f}", f"{work.steps:,}", per_cell)
        cells += (f"{throughput:.1f}", f"{by_steps:.1f}", f"{answering:.1f}", f"${cost:,.0f}")
        print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
