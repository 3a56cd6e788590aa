"""Fast video-VAE decoders: load a teacher, make its decoder small, keep its latent space."""

from flash_vaed.checkpoint import CheckpointError, load_decoder, load_teacher, save_decoder, save_teacher
from flash_vaed.contract import LatentWarning, check_latents
from flash_vaed.decoder import Decoder
from flash_vaed.export import to_diffusers_folder
from flash_vaed.latent_files import read_latents, save_latents
from flash_vaed.pruning import Compressed, CompressionPlan, StageEdit, compress
from flash_vaed.spec import DecoderSpec, LatentSpace, StagePlan
from flash_vaed.state import DecoderState
from flash_vaed.teacher import Teacher

__all__ = [
    "CheckpointError",
    "Compressed",
    "CompressionPlan",
    "Decoder",
    "DecoderSpec",
    "DecoderState",
    "LatentSpace",
    "LatentWarning",
    "StageEdit",
    "StagePlan",
    "Teacher",
    "check_latents",
    "compress",
    "load_decoder",
    "load_teacher",
    "read_latents",
    "save_decoder",
    "save_latents",
    "save_teacher",
    "to_diffusers_folder",
]
