"""Images that are drawn, with the truth about what they show: for tests and comparisons."""

from keras_attn.data.synthetic.caption_grid import Captions as Captions
from keras_attn.data.synthetic.caption_grid import caption_grid as caption_grid
from keras_attn.data.synthetic.digits import cluttered_digits as cluttered_digits
from keras_attn.data.synthetic.digits import digit_pairs as digit_pairs
from keras_attn.data.synthetic.harbour import HarbourScenes as HarbourScenes
from keras_attn.data.synthetic.harbour import harbour as harbour
from keras_attn.data.synthetic.mask_crops import mask_crops as mask_crops
from keras_attn.data.synthetic.scenes import Scenes as Scenes
from keras_attn.data.synthetic.shape_scenes import ShapeScenes as ShapeScenes
from keras_attn.data.synthetic.shape_scenes import shape_scenes as shape_scenes
from keras_attn.data.synthetic.small_object_scenes import small_object_scenes as small_object_scenes
