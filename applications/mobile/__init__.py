"""Networks for phones, with attention and without: MobileNet, ShuffleNet and MnasNet."""

from keras_attn.applications.mobile.mnasnet import AAMnasNet as AAMnasNet
from keras_attn.applications.mobile.mnasnet import MnasNet as MnasNet
from keras_attn.applications.mobile.mobilenet import SEMobileNet as SEMobileNet
from keras_attn.applications.mobile.shufflenet import SEShuffleNet as SEShuffleNet
