"""The papers that the parts of a run come from."""

from __future__ import annotations

from typing import NamedTuple


class Paper(NamedTuple):
    """One reference; ``str()`` of it is a line for a bibliography."""

    authors: str
    year: int
    title: str
    where: str

    def __str__(self) -> str:
        return f"{self.authors} ({self.year}). {self.title}. {self.where}."


PAPERS = {
    "ddpm": Paper("Ho, Jain, Abbeel", 2020, "Denoising diffusion probabilistic models", "NeurIPS, arXiv:2006.11239"),
    "sde": Paper(
        "Song, Sohl-Dickstein, Kingma, Kumar, Ermon, Poole",
        2021,
        "Score-based generative modeling through stochastic differential equations",
        "ICLR, arXiv:2011.13456",
    ),
    "ddim": Paper("Song, Meng, Ermon", 2021, "Denoising diffusion implicit models", "ICLR, arXiv:2010.02502"),
    "improved": Paper(
        "Nichol, Dhariwal", 2021, "Improved denoising diffusion probabilistic models", "ICML, arXiv:2102.09672"
    ),
    "adm": Paper(
        "Dhariwal, Nichol", 2021, "Diffusion models beat GANs on image synthesis", "NeurIPS, arXiv:2105.05233"
    ),
    "vdm": Paper("Kingma, Salimans, Poole, Ho", 2021, "Variational diffusion models", "NeurIPS, arXiv:2107.00630"),
    "flow++": Paper(
        "Ho, Chen, Srinivas, Duan, Abbeel",
        2019,
        "Flow++: improving flow-based generative models with variational dequantization and architecture design",
        "ICML, arXiv:1902.00275",
    ),
    "likelihood": Paper(
        "Song, Durkan, Murray, Ermon",
        2021,
        "Maximum likelihood training of score-based diffusion models",
        "NeurIPS, arXiv:2101.09258",
    ),
    "distillation": Paper(
        "Salimans, Ho", 2022, "Progressive distillation for fast sampling of diffusion models", "ICLR, arXiv:2202.00512"
    ),
    "edm": Paper(
        "Karras, Aittala, Aila, Laine",
        2022,
        "Elucidating the design space of diffusion-based generative models",
        "NeurIPS, arXiv:2206.00364",
    ),
    "edm2": Paper(
        "Karras, Aittala, Lehtinen, Hellsten, Aila, Laine",
        2024,
        "Analyzing and improving the training dynamics of diffusion models",
        "CVPR, arXiv:2312.02696",
    ),
    "guidance": Paper("Ho, Salimans", 2022, "Classifier-free diffusion guidance", "arXiv:2207.12598"),
    "dpm-solver": Paper(
        "Lu, Zhou, Bao, Chen, Li, Zhu",
        2022,
        "DPM-Solver: a fast ODE solver for diffusion probabilistic model sampling in around 10 steps",
        "NeurIPS, arXiv:2206.00927",
    ),
    "deis": Paper(
        "Zhang, Chen", 2023, "Fast sampling of diffusion models with exponential integrator", "ICLR, arXiv:2204.13902"
    ),
    "unipc": Paper(
        "Zhao, Bai, Rao, Zhou, Lu",
        2023,
        "UniPC: a unified predictor-corrector framework for fast sampling of diffusion models",
        "NeurIPS, arXiv:2302.04867",
    ),
    "sa": Paper(
        "Xue, Yi, Luo, Zhang, Sun, Li, Ma",
        2023,
        "SA-Solver: stochastic Adams solver for fast sampling of diffusion models",
        "NeurIPS, arXiv:2309.05019",
    ),
    "restart": Paper(
        "Xu, Deng, Cheng, Tian, Liu, Jaakkola",
        2023,
        "Restart sampling for improving generative processes",
        "NeurIPS, arXiv:2306.14878",
    ),
    "er-sde": Paper(
        "Cui, Zhang, Lu, Liao",
        2023,
        "Elucidating the solution space of extended reverse-time SDE for diffusion models",
        "arXiv:2309.06169",
    ),
    "ncsn": Paper(
        "Song, Ermon",
        2019,
        "Generative modeling by estimating gradients of the data distribution",
        "NeurIPS, arXiv:1907.05600",
    ),
    "ncsn2": Paper(
        "Song, Ermon",
        2020,
        "Improved techniques for training score-based generative models",
        "NeurIPS, arXiv:2006.09011",
    ),
    "energy": Paper(
        "Salimans, Ho", 2021, "Should EBMs model the energy or the score?", "ICLR workshop on energy-based models"
    ),
    "reuse": Paper(
        "Du et al.",
        2023,
        "Reduce, reuse, recycle: compositional generation with energy-based diffusion models and MCMC",
        "ICML, arXiv:2302.11552",
    ),
    "consistent": Paper(
        "Jolicoeur-Martineau, Piché-Taillefer, Tachet des Combes, Mitliagkas",
        2021,
        "Adversarial score matching and improved sampling for image generation",
        "ICLR, arXiv:2009.05475",
    ),
    "gotta-go-fast": Paper(
        "Jolicoeur-Martineau, Li, Piché-Taillefer, Kachman, Mitliagkas",
        2021,
        "Gotta go fast when generating data with score-based models",
        "arXiv:2105.14080",
    ),
    "align": Paper(
        "Sabour, Fidler, Kreis",
        2024,
        "Align your steps: optimizing sampling schedules in diffusion models",
        "ICML, arXiv:2404.14507",
    ),
    "beta": Paper(
        "Lee et al.",
        2024,
        "Beta sampling is all you need: efficient image generation strategy for diffusion models using stepwise "
        "spectral analysis",
        "arXiv:2407.12173",
    ),
    "dpm": Paper(
        "Lu, Zhou, Bao, Chen, Li, Zhu",
        2022,
        "DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models",
        "arXiv:2211.01095",
    ),
    "flow": Paper(
        "Lipman, Chen, Ben-Hamu, Nickel, Le", 2023, "Flow matching for generative modeling", "ICLR, arXiv:2210.02747"
    ),
    "rectified": Paper(
        "Liu, Gong, Liu",
        2023,
        "Flow straight and fast: learning to generate and transfer data with rectified flow",
        "ICLR, arXiv:2209.03003",
    ),
    "min-snr": Paper(
        "Hang, Gu, Li, Bao, Chen, Hu, Geng, Guo",
        2023,
        "Efficient diffusion training via min-SNR weighting strategy",
        "ICCV, arXiv:2303.09556",
    ),
    "p2": Paper(
        "Choi, Lee, Shin, Kim, Kim, Yoon",
        2022,
        "Perception prioritized training of diffusion models",
        "CVPR, arXiv:2204.00227",
    ),
    "elbo": Paper(
        "Kingma, Gao",
        2023,
        "Understanding diffusion objectives as the ELBO with simple data augmentation",
        "NeurIPS, arXiv:2303.00848",
    ),
    "sd3": Paper(
        "Esser et al.",
        2024,
        "Scaling rectified flow transformers for high-resolution image synthesis",
        "ICML, arXiv:2403.03206",
    ),
    "unet": Paper(
        "Ronneberger, Fischer, Brox",
        2015,
        "U-Net: convolutional networks for biomedical image segmentation",
        "MICCAI, arXiv:1505.04597",
    ),
    "dit": Paper("Peebles, Xie", 2023, "Scalable diffusion models with transformers", "ICCV, arXiv:2212.09748"),
    "attention": Paper("Vaswani et al.", 2017, "Attention is all you need", "NeurIPS, arXiv:1706.03762"),
    "columns": Paper(
        "Gorishniy, Rubachev, Khrulkov, Babenko",
        2021,
        "Revisiting deep learning models for tabular data",
        "NeurIPS, arXiv:2106.11959",
    ),
    "d3pm": Paper(
        "Austin, Johnson, Ho, Tarlow, van den Berg",
        2021,
        "Structured denoising diffusion models in discrete state-spaces",
        "NeurIPS, arXiv:2107.03006",
    ),
    "multinomial": Paper(
        "Hoogeboom, Nielsen, Jaini, Forré, Welling",
        2021,
        "Argmax flows and multinomial diffusion: learning categorical distributions",
        "NeurIPS, arXiv:2102.05379",
    ),
    "vqvae": Paper(
        "van den Oord, Vinyals, Kavukcuoglu",
        2017,
        "Neural discrete representation learning",
        "NeurIPS, arXiv:1711.00937",
    ),
    "vq": Paper(
        "Gu et al.",
        2022,
        "Vector quantized diffusion model for text-to-image synthesis",
        "CVPR, arXiv:2111.14822",
    ),
    "mdlm": Paper(
        "Sahoo et al.",
        2024,
        "Simple and effective masked diffusion language models",
        "NeurIPS, arXiv:2406.07524",
    ),
    "pixelcnn": Paper(
        "van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves, Kavukcuoglu",
        2016,
        "Conditional image generation with PixelCNN decoders",
        "NeurIPS, arXiv:1606.05328",
    ),
    "pixelcnn++": Paper(
        "Salimans, Karpathy, Chen, Kingma",
        2017,
        "PixelCNN++: improving the PixelCNN with discretized logistic mixture likelihood and other modifications",
        "ICLR, arXiv:1701.05517",
    ),
    "rotary": Paper(
        "Su, Lu, Pan, Murtadha, Wen, Liu",
        2021,
        "RoFormer: enhanced transformer with rotary position embedding",
        "arXiv:2104.09864",
    ),
    "film": Paper(
        "Perez, Strub, de Vries, Dumoulin, Courville",
        2018,
        "FiLM: visual reasoning with a general conditioning layer",
        "AAAI, arXiv:1709.07871",
    ),
    "lin": Paper(
        "Lin, Liu, Li, Yang",
        2024,
        "Common diffusion noise schedules and sample steps are flawed",
        "WACV, arXiv:2305.08891",
    ),
    "digits": Paper(
        "Alpaydin, Kaynak",
        1998,
        "Optical recognition of handwritten digits",
        "UCI Machine Learning Repository, CC BY 4.0",
    ),
}
