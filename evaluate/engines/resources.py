"""What a task of a run needs of a machine."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from elusive.common.errors import InputError, validate_config
from elusive.common.large.devices import Devices, Placement


class Resources(BaseModel):
    """What one cell needs; all but `placement` and `processes` is for Slurm and Ray alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gpus: int = Field(default=0, ge=0, description="GPUs.")
    cpus: int = Field(default=2, ge=1, description="CPU cores.")
    memory_gib: float | None = Field(
        default=None, gt=0, description="Main memory in GiB; by default the cluster's own default."
    )
    gpu_memory_gib: float | None = Field(
        default=None,
        gt=0,
        description="Memory of one GPU in GiB; a plan whose models need more is refused.",
    )
    minutes: int = Field(
        default=120,
        ge=1,
        description="Time limit; a cell that reaches it is queued again and resumes from its last "
        "checkpoint. Slurm only.",
    )
    partition: str | None = Field(default=None, description="Partition; Slurm only.")
    account: str | None = Field(default=None, description="Account to charge; Slurm only.")
    placement: Placement = Field(
        default="one",
        description="Where a model's layers go: one device, or, with auto, all GPUs, and for what "
        "these do not hold main memory and the disk.",
    )
    processes: int = Field(
        default=1,
        ge=1,
        description="Processes that share the model, each with a GPU if there are any.",
    )
    setup: tuple[str, ...] = Field(
        default=(),
        description="Shell commands that run before Python starts, such as `module load cuda`; "
        "Slurm only.",
    )

    @model_validator(mode="after")
    def _check_sharing(self) -> "Resources":
        if self.processes > 1 and self.placement != "one":
            raise InputError(
                f"placement {self.placement!r} and processes {self.processes} cannot be combined: "
                "spread the layers of one process, or share every layer by several"
            )
        if 0 < self.gpus < self.processes:
            raise InputError(
                f"processes {self.processes} need a GPU each (got gpus {self.gpus}): set gpus to "
                f"{self.processes}"
            )
        return self

    @property
    def devices(self) -> Devices:
        """What a model gets to compute with."""
        return Devices(self.placement, self.processes, self.memory_gib)

    def render(self) -> str:
        """Render what is asked for, for messages."""
        given = self.model_dump(exclude={"setup"}, exclude_none=True)
        return ", ".join(f"{name} {value}" for name, value in given.items())


class PlanResources(Resources):
    """What the cells of a plan need, with changes for some models."""

    models: dict[str, dict[str, object]] = Field(
        default_factory=dict,
        description="Resources that differ for a model, by its name in the plan.",
    )

    def get_for(self, model: str, has_gpus: bool = True) -> Resources:
        """Return the resources of a model's cells, or, without GPUs, of its training texts."""
        own = self.model_dump(exclude={"models"}) | self.models.get(model, {})
        return validate_config(Resources, own if has_gpus else own | {"gpus": 0})

    def get_devices(self, model: str) -> Devices:
        """Return what a model gets to compute with, be it trained or scoring."""
        return self.get_for(model).devices

    @model_validator(mode="after")
    def _check_models(self) -> "PlanResources":
        for model in self.models:
            self.get_for(model)
        return self
