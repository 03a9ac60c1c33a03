"""What a task of a run needs of a machine."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from elusive.common.errors import validate_config


class Resources(BaseModel):
    """What one cell needs on Slurm or Ray; training texts need the same without GPUs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gpus: int = Field(default=0, ge=0, description="GPUs.")
    cpus: int = Field(default=2, ge=1, description="CPU cores.")
    memory_gib: float | None = Field(
        default=None, gt=0, description="Main memory in GiB; by default the cluster's own default."
    )
    minutes: int = Field(
        default=120,
        ge=1,
        description="Time limit; a cell that reaches it is queued again and resumes from its last "
        "checkpoint. Slurm only.",
    )
    partition: str | None = Field(default=None, description="Partition; Slurm only.")
    account: str | None = Field(default=None, description="Account to charge; Slurm only.")
    setup: tuple[str, ...] = Field(
        default=(),
        description="Shell commands that run before Python starts, such as `module load cuda`; "
        "Slurm only.",
    )

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

    @model_validator(mode="after")
    def _check_models(self) -> "PlanResources":
        for model in self.models:
            self.get_for(model)
        return self
