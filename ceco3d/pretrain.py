"""``python -m ceco3d.pretrain``: pretrain a network (conf/pretrain.yaml)."""

from omegaconf import DictConfig

from ceco3d.cli.app import command
from ceco3d.pretraining.run import pretrain


@command("pretrain")
def main(cfg: DictConfig) -> None:
    """Pretrain, then say how to go on."""
    checkpoint = pretrain(cfg)
    features = ",".join(cfg.features)
    model = f"model={cfg.model.name.lower()} model.stem_kernel={cfg.model.stem_kernel}"
    print(f"go on with: python -m ceco3d.train init={checkpoint} features=[{features}] {model}")


if __name__ == "__main__":
    main()
