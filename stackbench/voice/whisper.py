"""Whisper through CTranslate2, as faster-whisper loads it, on no more of its 30 s window than a turn needs."""

# faster-whisper and CTranslate2 have partial types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stackbench.errors import ModelNotAvailableError, UsageError, one_line
from stackbench.extras import install_command
from stackbench.voice.agreement import without_repeats
from stackbench.voice.audio import RATE, Samples
from stackbench.voice.recognition import Transcript

__all__ = ["WhisperRecognizer"]

WINDOW = 3000
"""Mel frames of the 30 s that the model was trained on."""
FRAMES_A_SECOND = 100
MARGIN = 350
"""Mel frames of silence behind a turn: with few, the decoder does not find its end and repeats itself."""
ROUND_TO = 100
TOKENS_A_SECOND = 9
LEAST_TOKENS = 24
MOST_PROMPT_TOKENS = 160
NO_SPEECH = 0.6
LEAST_LOG_PROBABILITY = -1.0
HOPELESS_LOG_PROBABILITY = -1.6
HOPELESS_EXPECTED = -2.7
"""Of a text that is an expected one, word for word: a short word has a low probability by itself."""
NO_SPEECH_EXPECTED = 0.5
SURE = 0.65
"""From this confidence on the language is not asked about."""
CLEAR_LANGUAGE = 0.5
"""Below this probability of the language that is asked for a second look is at all 30 s, as the model was trained."""
LEAST_LANGUAGE = 0.25
"""Below this probability of the language that is asked for it was another one."""
ECHO = 3
OBJECT = " the run"
"""Of an expected command; it is said without as well."""
MOST_THREADS = 4
REPEATED = re.compile(r"(.{2,30}?)\1{3,}")
FINAL_BEAM = 1


class WhisperRecognizer:
    """Implements `Recognizer`. Temperature 0 alone, no timestamps, nothing of the turn before in the prompt.

    `threads` bounds the processors it computes on; a model that decodes beside it keeps the others.
    `whole_window`: always all 30 s, as the model was trained.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "",
        language: str = "en",
        device: str = "auto",
        threads: int | None = None,
        whole_window: bool = False,
        beam: int = FINAL_BEAM,
    ) -> None:
        self._folder = folder
        self._name = name or folder.name
        self._language = language
        self._device = device
        self._threads = threads or max(1, min(MOST_THREADS, os.cpu_count() or 1))
        self._whole_window = whole_window
        self._beam = beam
        self._whisper: Any = None
        self._multilingual = False
        self._start: list[int] = []
        self._prompt: list[int] = []
        self._expected: tuple[str, ...] = ()
        self._short: set[str] = set()

    @property
    def name(self) -> str:
        return self._name

    def start(self) -> None:
        if self._whisper is not None:
            return
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise UsageError(f"voice needs faster-whisper ({one_line(error)}); {install_command('voice')}") from error
        try:
            self._whisper = WhisperModel(
                str(self._folder),
                device=self._device,
                compute_type="float16" if self._on_gpu() else "int8",
                cpu_threads=self._threads,
                num_workers=1,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelNotAvailableError(f"{self._folder} holds no Whisper model: {one_line(error)}") from error
        self._multilingual = bool(self._whisper.model.is_multilingual)
        self._start = self._start_tokens()
        self.expect(self._expected)
        self.final(np.zeros(RATE, np.float32))

    def expect(self, words: Sequence[str]) -> None:
        self._expected = tuple(words)
        bare = {_bare(one) for one in words}
        self._short = bare | {one.removesuffix(OBJECT) for one in bare}
        if self._whisper is None:
            return
        tokenizer = self._whisper.hf_tokenizer
        ids: list[int] = []
        if words:
            text = " " + ", ".join(words) + "."
            ids = tokenizer.encode(text, add_special_tokens=False).ids[:MOST_PROMPT_TOKENS]
            ids = [tokenizer.token_to_id("<|startofprev|>"), *ids]
        self._prompt = ids

    def partial(self, samples: Samples) -> Transcript:
        return self._recognize(samples, 1)

    def final(self, samples: Samples) -> Transcript:
        return self._recognize(samples, self._beam)

    def close(self) -> None:
        self._whisper = None

    def _recognize(self, samples: Samples, beam: int) -> Transcript:
        if self._whisper is None:
            self.start()
        if not len(samples):
            return Transcript("", why_empty="no sound")
        window = WINDOW if self._whole_window else 0
        found = self._decode(samples, beam, window)
        if window != WINDOW and _loops(found.text):
            found = self._decode(samples, beam, WINDOW)
        return found

    def _decode(self, samples: Samples, beam: int, window: int) -> Transcript:
        """One pass; `window` in mel frames, 0: what the turn needs."""
        model = self._whisper.model
        features = self._whisper.feature_extractor(samples[: 30 * RATE])
        length = features.shape[-1]
        frames = window or min(WINDOW, math.ceil((length + MARGIN) / ROUND_TO) * ROUND_TO)
        encoded = self._encode(features, frames)
        most = int(LEAST_TOKENS + TOKENS_A_SECOND * length / FRAMES_A_SECOND)
        prompt = [*self._prompt, *self._start]
        result = model.generate(
            encoded,
            [prompt],
            beam_size=beam,
            max_length=min(448, len(prompt) + most),
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        text = self._whisper.hf_tokenizer.decode(result.sequences_ids[0]).strip()
        score, no_speech = float(result.scores[0]), float(result.no_speech_prob)
        confidence = min(1.0, math.exp(score))
        if not any(letter.isalnum() for letter in text):
            return Transcript("", confidence, no_speech, "no words")
        if not self._credible(text, score, no_speech):
            return Transcript("", confidence, no_speech, "no speech, or none that could be understood")
        if self._echoes(text):
            return Transcript("", confidence, no_speech, "it only repeats what was expected")
        if self._multilingual and confidence < SURE and length >= FRAMES_A_SECOND:
            shares = self._languages(encoded)
            if frames < WINDOW and shares[self._language] < CLEAR_LANGUAGE:
                shares = self._languages(self._encode(features, WINDOW))
            other = max(shares, key=lambda name: shares[name])
            if other != self._language and shares[self._language] < LEAST_LANGUAGE:
                return Transcript("", confidence, no_speech, f'that sounded like "{other}", not "{self._language}"')
        return Transcript(text, confidence, no_speech)

    def _encode(self, features: Any, frames: int) -> Any:
        """What the encoder makes of (mel bands, time) features, cut or padded to so many frames."""
        padded = np.zeros((features.shape[0], frames), np.float32)
        kept = features[:, :frames]
        padded[:, : kept.shape[1]] = kept
        return self._whisper.encode(padded)

    def _languages(self, encoded: Any) -> dict[str, float]:
        """Probabilities by language code; they add up to 1."""
        return {name.strip("<|>"): share for name, share in self._whisper.model.detect_language(encoded)[0]}

    def _echoes(self, text: str) -> bool:
        """Whether it is a piece of the prompt: three expected texts or more, in their order."""
        bare = _bare(text)
        return any(
            bare.startswith(" ".join(_bare(one) for one in self._expected[start : start + ECHO]))
            for start in range(len(self._expected) - ECHO + 1)
        )

    def _credible(self, text: str, score: float, no_speech: float) -> bool:
        """Whether somebody said it; a recogniser makes text of noise too."""
        if _bare(text) in self._short and no_speech < NO_SPEECH_EXPECTED:
            return score >= HOPELESS_EXPECTED
        if no_speech > NO_SPEECH and score < LEAST_LOG_PROBABILITY:
            return False
        return score >= HOPELESS_LOG_PROBABILITY

    def _start_tokens(self) -> list[int]:
        tokenizer = self._whisper.hf_tokenizer
        names = ["<|startoftranscript|>"]
        if self._whisper.model.is_multilingual:
            names += [f"<|{self._language}|>", "<|transcribe|>"]
        elif self._language != "en":
            raise UsageError(f'{self._name} understands English only, not "{self._language}"; use whisper-base')
        ids = [tokenizer.token_to_id(name) for name in [*names, "<|notimestamps|>"]]
        if None in ids:
            raise UsageError(f'Whisper knows no language "{self._language}"; give a code such as en, de or fr')
        return ids

    def _on_gpu(self) -> bool:
        if self._device != "auto":
            return self._device == "cuda"
        import ctranslate2

        return ctranslate2.get_cuda_device_count() > 0


def _loops(text: str) -> bool:
    words = text.split()
    return len(without_repeats(words)) < len(words) or REPEATED.search(text) is not None


def _bare(text: str) -> str:
    return " ".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())
