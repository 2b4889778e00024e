# SPDX-License-Identifier: Apache-2.0
"""What the quality gate speaks: everyday sentences without numbers or names that a recogniser spells in its own way."""

VOICES = ("af_heart", "af_bella", "am_adam", "am_michael", "bf_emma", "bm_george")

TEXTS = (
    "The kettle was already singing when the first guest knocked on the kitchen door.",
    "Please leave your wet umbrella in the hall and come and sit by the fire.",
    "Nobody could say who had painted the old bridge blue during the night.",
    "If the train is late again, we will have to walk home along the river.",
    "She counted the apples twice, wrote the number down, and closed the book.",
    "What would you do with a whole afternoon and nothing to finish?",
    "The doctor asked him to breathe in slowly, hold it, and then let it go.",
    "A thin layer of ice had formed over the garden pond before sunrise.",
    "Turn left after the bakery, and you will see the library across the street.",
    "My grandmother kept every letter that he ever sent her from the mountains.",
    "The children built a castle of sand, and the tide took it away.",
    "We measured the wood carefully, but the shelf was still too short.",
    "Do not touch the glass until it has cooled down completely!",
    "The orchestra played the last piece so quietly that we could hear the rain.",
    "Every spring the swallows return to the same corner of the barn.",
    "He bought two tickets for the evening show and gave both of them away.",
    "Strong winds are expected along the coast, with heavy showers in the north.",
    "I would rather have a good question than a quick answer.",
    "The museum keeps a small wooden boat that once crossed the ocean.",
    "After dinner they cleared the table, lit a candle, and told each other stories.",
)
