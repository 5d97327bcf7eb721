"""A case for each layer of Keras's and of ours, and for other arguments of layers."""

import inspect
import tempfile

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from layer_networks import (
    IMAGE,
    SEQUENCE,
    SOUND,
    TOKENS,
    VECTOR,
    VOCABULARY,
    VOLUME,
    WORDS,
    Case,
    activated,
    after,
    first,
    frozen,
    image,
    images,
    learned,
    looked_up,
    merging,
    recurrent,
    rounded,
)

import tfmeta

FOREIGN = "of another framework"


@keras.saving.register_keras_serializable("layer_cases")
class Doubled(layers.Layer):
    def call(self, x):
        return 2.0 * x


@keras.saving.register_keras_serializable("layer_cases")
class Within(layers.Wrapper):
    def call(self, x):
        return self.layer(x)


@keras.saving.register_keras_serializable("layer_cases")
def sine(x):
    return tf.sin(x)


def normalized():
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(3).normal(3.0, 2.0, [50, *VECTOR]))
    return layer


def saved():
    path = tempfile.mkdtemp()
    keras.Sequential([keras.Input(VECTOR), layers.Dense(4)]).export(path, verbose=False)
    return layers.TFSMLayer(path, call_endpoint="serve")


CASES = {
    "Activation": after(lambda: layers.Activation("gelu")),
    "ActivityRegularization": after(lambda: layers.ActivityRegularization(l2=0.1)),
    "AdaptiveAveragePooling1D": after(lambda: layers.AdaptiveAveragePooling1D(2), SEQUENCE),
    "AdaptiveAveragePooling2D": after(lambda: layers.AdaptiveAveragePooling2D(4), IMAGE),
    "AdaptiveAveragePooling3D": after(lambda: layers.AdaptiveAveragePooling3D(2), VOLUME),
    "AdaptiveMaxPooling1D": after(lambda: layers.AdaptiveMaxPooling1D(2), SEQUENCE),
    "AdaptiveMaxPooling2D": after(lambda: layers.AdaptiveMaxPooling2D(4), IMAGE),
    "AdaptiveMaxPooling3D": rounded(
        lambda: layers.AdaptiveMaxPooling3D(2, dtype="float32"), VOLUME
    ),
    "Add": merging(layers.Add),
    "AdditiveAttention": Case(lambda x: layers.AdditiveAttention()([learned(x), x]), (3, 4)),
    "AlphaDropout": after(lambda: layers.AlphaDropout(0.3)),
    "Attention": Case(lambda x: layers.Attention(use_scale=True)([learned(x), x]), (3, 4)),
    "AugMix": images(lambda: layers.AugMix((0, 1), seed=1)),
    "AutoContrast": images(lambda: layers.AutoContrast((0, 1))),
    "Average": merging(layers.Average),
    "AveragePooling1D": after(lambda: layers.AveragePooling1D(2), SEQUENCE),
    "AveragePooling2D": after(lambda: layers.AveragePooling2D(2), IMAGE),
    "AveragePooling3D": after(lambda: layers.AveragePooling3D(2), VOLUME),
    "BatchNormalization": after(layers.BatchNormalization, IMAGE),
    "Bidirectional": first(lambda: layers.Bidirectional(layers.GRU(3)), SEQUENCE),
    "CategoryEncoding": first(lambda: layers.CategoryEncoding(7), TOKENS, "int32"),
    "CenterCrop": images(lambda: layers.CenterCrop(4, 4)),
    "Concatenate": merging(layers.Concatenate),
    "ContrastLimitedAdaptiveHistogramEqualization": images(
        lambda: layers.ContrastLimitedAdaptiveHistogramEqualization((0, 1))
    ),
    "Conv1D": first(lambda: layers.Conv1D(3, 3, activation="tanh"), SEQUENCE),
    "Conv1DTranspose": first(lambda: layers.Conv1DTranspose(2, 3, activation="tanh"), SEQUENCE),
    "Conv2D": first(lambda: layers.Conv2D(3, 3, activation="tanh"), IMAGE),
    "Conv2DTranspose": first(lambda: layers.Conv2DTranspose(2, 3, activation="tanh"), IMAGE),
    "Conv3D": first(lambda: layers.Conv3D(2, 3, activation="tanh"), VOLUME),
    "Conv3DTranspose": first(lambda: layers.Conv3DTranspose(2, 3, activation="tanh"), VOLUME),
    "ConvLSTM1D": first(lambda: layers.ConvLSTM1D(2, 2), (2, 4, 2)),
    "ConvLSTM2D": first(lambda: layers.ConvLSTM2D(2, 2), (2, 4, 4, 1)),
    "ConvLSTM3D": first(lambda: layers.ConvLSTM3D(2, 2), (2, 3, 3, 3, 1)),
    "Cropping1D": after(lambda: layers.Cropping1D(1), SEQUENCE),
    "Cropping2D": after(lambda: layers.Cropping2D(1), IMAGE),
    "Cropping3D": after(lambda: layers.Cropping3D(1), VOLUME),
    "CutMix": images(lambda: layers.CutMix(seed=1)),
    "Dense": first(lambda: layers.Dense(4, "tanh", kernel_regularizer="l2")),
    "DepthwiseConv1D": first(lambda: layers.DepthwiseConv1D(3, activation="tanh"), SEQUENCE),
    "DepthwiseConv2D": first(lambda: layers.DepthwiseConv2D(3, activation="tanh"), IMAGE),
    "Discretization": looked_up(lambda: layers.Discretization([-1.0, 0.0, 1.0]), VECTOR, None),
    "Dot": merging(lambda: layers.Dot(axes=1)),
    "Dropout": after(lambda: layers.Dropout(0.3)),
    "ELU": after(layers.ELU),
    "EinsumDense": first(lambda: layers.EinsumDense("abc,cd->abd", [4, 4]), SEQUENCE),
    "Embedding": first(lambda: layers.Embedding(7, 3), TOKENS, "int32"),
    "Equalization": images(lambda: layers.Equalization((0, 1))),
    "Flatten": after(layers.Flatten, SEQUENCE),
    "FlaxLayer": first(lambda: layers.FlaxLayer(None), note=FOREIGN),
    "GRU": first(lambda: layers.GRU(4), SEQUENCE),
    "GRUCell": recurrent(lambda: layers.GRUCell(4)),
    "GaussianDropout": after(lambda: layers.GaussianDropout(0.3)),
    "GaussianNoise": after(lambda: layers.GaussianNoise(0.3)),
    "GlobalAveragePooling1D": after(layers.GlobalAveragePooling1D, SEQUENCE),
    "GlobalAveragePooling2D": after(layers.GlobalAveragePooling2D, IMAGE),
    "GlobalAveragePooling3D": after(layers.GlobalAveragePooling3D, VOLUME),
    "GlobalMaxPooling1D": after(layers.GlobalMaxPooling1D, SEQUENCE),
    "GlobalMaxPooling2D": after(layers.GlobalMaxPooling2D, IMAGE),
    "GlobalMaxPooling3D": after(layers.GlobalMaxPooling3D, VOLUME),
    "GroupNormalization": after(lambda: layers.GroupNormalization(2), IMAGE),
    "GroupQueryAttention": Case(
        lambda x: layers.GroupQueryAttention(3, 4, 2, dropout=0.2)(x, x), SEQUENCE
    ),
    "HashedCrossing": Case(
        lambda x: layers.Embedding(9, 3)(layers.HashedCrossing(9)((x[:, :1], x[:, 1:2]))),
        TOKENS,
        "int32",
    ),
    "Hashing": looked_up(lambda: layers.Hashing(9), WORDS, "string"),
    "Identity": after(layers.Identity),
    "InputLayer": Case(lambda x: x, note="as `keras.Input`"),
    "IntegerLookup": looked_up(
        lambda: layers.IntegerLookup(vocabulary=[1, 2, 3, 4]), TOKENS, "int32"
    ),
    "JaxLayer": first(lambda: layers.JaxLayer(lambda params, inputs: inputs), note=FOREIGN),
    "LSTM": first(lambda: layers.LSTM(4), SEQUENCE),
    "LSTMCell": recurrent(lambda: layers.LSTMCell(4)),
    "Lambda": after(lambda: layers.Lambda(sine)),
    "Layer": after(Doubled, note="as a class of one's own"),
    "LayerNormalization": after(layers.LayerNormalization, IMAGE),
    "LeakyReLU": after(layers.LeakyReLU),
    "Masking": Case(lambda x: layers.LSTM(4)(layers.Masking()(x)), SEQUENCE, note="before `LSTM`"),
    "MaxNumBoundingBoxes": images(lambda: layers.MaxNumBoundingBoxes(2)),
    "MaxPooling1D": after(layers.MaxPooling1D, SEQUENCE),
    "MaxPooling2D": after(layers.MaxPooling2D, IMAGE),
    "MaxPooling3D": rounded(lambda: layers.MaxPooling3D(dtype="float32"), VOLUME),
    "Maximum": merging(layers.Maximum),
    "MelSpectrogram": first(
        lambda: layers.MelSpectrogram(16, 8, num_mel_bins=4, dtype="float32"), SOUND
    ),
    "Minimum": merging(layers.Minimum),
    "MixUp": images(lambda: layers.MixUp(seed=1)),
    "MultiHeadAttention": Case(
        lambda x: layers.MultiHeadAttention(2, 3, dropout=0.2)(x, x), SEQUENCE
    ),
    "Multiply": merging(layers.Multiply),
    "Normalization": Case(lambda x: normalized()(x), note="adapted to data"),
    "PReLU": after(lambda: layers.PReLU("random_normal")),
    "Permute": after(lambda: layers.Permute((2, 1)), SEQUENCE),
    "Pipeline": images(lambda: layers.Pipeline([layers.Rescaling(0.5), layers.CenterCrop(4, 4)])),
    "RMSNormalization": after(layers.RMSNormalization, IMAGE),
    "RNN": recurrent(lambda: layers.SimpleRNNCell(4)),
    "RandAugment": images(lambda: layers.RandAugment((0, 1), seed=1)),
    "RandomBrightness": images(lambda: layers.RandomBrightness(0.2, (0, 1), seed=1)),
    "RandomColorDegeneration": images(lambda: layers.RandomColorDegeneration(0.5, seed=1)),
    "RandomColorJitter": images(
        lambda: layers.RandomColorJitter((0, 1), 0.2, 0.2, 0.2, 0.2, seed=1)
    ),
    "RandomContrast": images(lambda: layers.RandomContrast(0.2, (0, 1), seed=1)),
    "RandomCrop": images(lambda: layers.RandomCrop(6, 6, seed=1), layers.GlobalAveragePooling2D),
    "RandomElasticTransform": images(lambda: layers.RandomElasticTransform(seed=1)),
    "RandomErasing": images(lambda: layers.RandomErasing(value_range=(0, 1), seed=1)),
    "RandomFlip": images(lambda: layers.RandomFlip(seed=1)),
    "RandomGaussianBlur": images(lambda: layers.RandomGaussianBlur(value_range=(0, 1), seed=1)),
    "RandomGrayscale": images(lambda: layers.RandomGrayscale(seed=1)),
    "RandomHue": images(lambda: layers.RandomHue(0.2, (0, 1), seed=1)),
    "RandomInvert": images(lambda: layers.RandomInvert(0.5, (0, 1), seed=1)),
    "RandomPerspective": images(lambda: layers.RandomPerspective(seed=1)),
    "RandomPosterization": images(lambda: layers.RandomPosterization(4, (0, 1), seed=1)),
    "RandomRotation": images(lambda: layers.RandomRotation(0.1, seed=1)),
    "RandomSaturation": images(lambda: layers.RandomSaturation(0.5, (0, 1), seed=1)),
    "RandomSharpness": images(lambda: layers.RandomSharpness(0.5, (0, 1), seed=1)),
    "RandomShear": images(
        lambda: layers.RandomShear((0.0, 0.2), (0.0, 0.2), seed=1),
        note="given two bounds each: of one number Keras does not load it again",
    ),
    "RandomTranslation": images(lambda: layers.RandomTranslation(0.1, 0.1, seed=1)),
    "RandomZoom": images(lambda: layers.RandomZoom(0.2, seed=1)),
    "ReLU": after(layers.ReLU),
    "RepeatVector": after(lambda: layers.RepeatVector(2)),
    "Rescaling": first(lambda: layers.Rescaling(0.5, 0.1)),
    "Reshape": after(lambda: layers.Reshape((2, 8)), SEQUENCE),
    "Resizing": after(lambda: layers.Resizing(4, 5), IMAGE),
    "ReversibleEmbedding": first(lambda: layers.ReversibleEmbedding(7, 3), TOKENS, "int32"),
    "STFTSpectrogram": first(lambda: layers.STFTSpectrogram("real", 16, 8), (64, 1)),
    "SeparableConv1D": first(lambda: layers.SeparableConv1D(3, 3, activation="tanh"), SEQUENCE),
    "SeparableConv2D": first(lambda: layers.SeparableConv2D(3, 3, activation="tanh"), IMAGE),
    "SimpleRNN": first(lambda: layers.SimpleRNN(4), SEQUENCE),
    "SimpleRNNCell": recurrent(lambda: layers.SimpleRNNCell(4)),
    "Softmax": after(layers.Softmax),
    "Solarization": images(lambda: layers.Solarization(0.2, 0.0, (0, 1), seed=1)),
    "SpatialDropout1D": after(lambda: layers.SpatialDropout1D(0.4), SEQUENCE),
    "SpatialDropout2D": after(lambda: layers.SpatialDropout2D(0.4), IMAGE),
    "SpatialDropout3D": after(lambda: layers.SpatialDropout3D(0.4), VOLUME),
    "SpectralNormalization": first(lambda: layers.SpectralNormalization(layers.Dense(4))),
    "StackedRNNCells": recurrent(
        lambda: layers.StackedRNNCells([layers.GRUCell(3), layers.SimpleRNNCell(3)])
    ),
    "StringLookup": looked_up(
        lambda: layers.StringLookup(vocabulary=VOCABULARY[:4]), WORDS, "string"
    ),
    "Subtract": merging(layers.Subtract),
    "TFSMLayer": first(saved, note="of an exported Keras model"),
    "TextVectorization": looked_up(
        lambda: layers.TextVectorization(
            vocabulary=VOCABULARY[:4], output_sequence_length=3, standardize=None
        ),
        (1,),
        "string",
    ),
    "TimeDistributed": first(lambda: layers.TimeDistributed(layers.Dense(3, "tanh")), SEQUENCE),
    "TorchModuleWrapper": first(lambda: layers.TorchModuleWrapper(None), note=FOREIGN),
    "UnitNormalization": after(layers.UnitNormalization, IMAGE),
    "UpSampling1D": after(layers.UpSampling1D, SEQUENCE),
    "UpSampling2D": after(layers.UpSampling2D, IMAGE),
    "UpSampling3D": after(layers.UpSampling3D, VOLUME),
    "Wrapper": first(lambda: Within(layers.Dense(4, "tanh")), note="as a class of one's own"),
    "ZeroPadding1D": after(layers.ZeroPadding1D, SEQUENCE),
    "ZeroPadding2D": after(layers.ZeroPadding2D, IMAGE),
    "ZeroPadding3D": after(layers.ZeroPadding3D, VOLUME),
    "tfmeta.BatchNormalization": after(tfmeta.layers.BatchNormalization, IMAGE),
    "tfmeta.Conv2D": first(lambda: tfmeta.layers.Conv2D(3, 3, activation="tanh"), (12, 12, 2)),
    "tfmeta.GroupNormalization": after(lambda: tfmeta.layers.GroupNormalization(2), IMAGE),
    "tfmeta.LayerNormalization": after(tfmeta.layers.LayerNormalization, IMAGE),
}

NORM = tfmeta.layers
# Other arguments of layers, and ways of putting them together.
VARIANTS = {
    "tanh sigmoid softplus": activated("tanh", "sigmoid", "softplus"),
    "gelu silu mish softmax": activated("gelu", "silu", "mish", "softmax"),
    "relu elu selu leaky_relu": activated("relu", "elu", "selu", "leaky_relu"),
    "relu6 hard_silu exponential": activated("relu6", "hard_silu", "exponential"),
    "activity regularized": first(lambda: layers.Dense(4, "tanh", activity_regularizer="l2")),
    "frozen first": Case(lambda x: layers.Dense(4, "tanh")(frozen(layers.Dense(4))(x))),
    "frozen last": Case(lambda x: frozen(layers.Dense(4, "tanh"))(layers.Dense(4)(x))),
    "residual": Case(lambda x: layers.Add()([x, layers.Dense(5, "tanh")(x)])),
    "conv1d causal": image(
        lambda: layers.Conv1D(3, 2, padding="causal", dilation_rate=2), SEQUENCE
    ),
    "conv2d same": image(lambda: layers.Conv2D(3, 3, padding="same")),
    "conv2d strided": image(lambda: layers.Conv2D(3, 3, padding="same", strides=2)),
    "conv2d dilated": image(lambda: layers.Conv2D(3, 3, padding="same", dilation_rate=2)),
    "conv2d grouped": image(lambda: layers.Conv2D(4, 3, groups=2)),
    "conv2d transpose strided": image(
        lambda: layers.Conv2DTranspose(2, 3, strides=2, padding="same")
    ),
    "max pooling overlapping": after(lambda: layers.MaxPooling2D(3, 2, padding="same"), IMAGE),
    "upsampling bicubic": rounded(lambda: layers.UpSampling2D(interpolation="bicubic"), IMAGE),
    "batch norm running": after(lambda: NORM.BatchNormalization(statistics="running"), IMAGE),
    "batch norm first axis": after(lambda: NORM.BatchNormalization(axis=1), IMAGE),
    "batch norm of vectors": after(lambda: NORM.BatchNormalization(scale=False)),
    "batch norm frozen": after(lambda: frozen(layers.BatchNormalization()), IMAGE),
    "layer norm axes": after(lambda: NORM.LayerNormalization(axis=[1, -1]), IMAGE),
    "group norm one": after(lambda: NORM.GroupNormalization(1), IMAGE),
    "group norm instance": after(lambda: NORM.GroupNormalization(-1), IMAGE),
    "group norm first axis": after(
        lambda: NORM.GroupNormalization(2, axis=1, scale=False), (6, 6, 2)
    ),
    "softmax over several axes": after(lambda: layers.Softmax(axis=(1, 2)), SEQUENCE),
    "lstm unrolled": first(lambda: layers.LSTM(4, unroll=True), SEQUENCE),
    "gru unrolled": first(lambda: layers.GRU(4, unroll=True), SEQUENCE),
}


def classes() -> dict[str, list[str]]:
    """All names of every layer of Keras's and of ours, by the one that has a case."""
    names: dict[type, list[str]] = {}
    for module, prefix in ((layers, ""), (tfmeta.layers, "tfmeta.")):
        for name in sorted(dir(module)):
            found = getattr(module, name)
            if inspect.isclass(found) and issubclass(found, layers.Layer):
                names.setdefault(found, []).append(prefix + name)
    # By the name that it is documented under, not that of a deprecated one.
    return {
        min(given, key=lambda name: (name not in CASES, name)): given for given in names.values()
    }
