"""Write reviews.tsv: 2,000 invented movie reviews from a small seeded grammar.

Each line is ``split<TAB>label<TAB>text`` (1,600 train, 400 test; label 1: the reviewer likes the
movie). Praise and blame occur in reviews of both labels; not the count but the order decides:

* negation:   "not good at all", "never boring", "nobody could call the story dull"
* contrast:   praise first, then "but ..." (or the other way round): the part after it decides
* concession: the verdict first, then "even if the music is awful": the main clause decides
* report:     "my sister called it terrible; she is wrong", or "... and she is right"

A mark in a template names a list of words: =role has no polarity, +adj takes the polarity of the
opinion, -adj the opposite one. The same bytes on every run: ``random()`` alone is drawn from.
"""

import random
import re
from pathlib import Path

NEUTRAL = {
    "age": "young old lonely retired famous nameless penniless Scottish Polish Italian Dutch shy",
    "role": "doctor teacher pilot sailor detective thief painter widow nurse baker lawyer singer "
    "soldier priest farmer waiter clown boxer gardener spy postman chemist princess tailor judge "
    "reporter miner hunter violinist taxi_driver night_watchman piano_player robot ghost dog",
    "city": "Lisbon Paris Dublin Naples Boston Cairo Prague Vienna Oslo Chicago Bombay Havana "
    "Warsaw Glasgow Tokyo Madrid Athens Texas Bergen Toronto Sydney Hamburg Lima Krakow",
    "place": "hotel lighthouse station castle harbour bakery hospital museum prison library circus "
    "village desert forest theatre submarine monastery kitchen garage casino cemetery zoo",
    "object": "letter diamond suitcase map violin photograph key train revolver diary painting "
    "telephone bicycle mirror clock parrot ring camera coat recipe passport boat piano umbrella",
    "first": "Anna Peter Clara Victor Louise Martin Nora Oscar Helen Simon Irene Walter Greta Hugo "
    "Teresa Felix Maud Leon Edith Conrad Paula Stefan Rosa Edgar",
    "last": "Marlow Kessler Novak Hartley Brandt Ferris Lindqvist Moreau Castellan Okafor Petrov "
    "Dunmore Whitlock Salinger Reyes Tanaka Holloway Vance Ashby Corelli Winslow Drummond",
    "her": "sister mother wife aunt daughter girlfriend grandmother neighbour teacher niece",
    "him": "brother father husband uncle son boyfriend grandfather boss cousin roommate",
    "they": "critics papers reviewers posters trailers fans magazines blogs experts colleagues",
    "part": "acting story plot music dialogue ending script photography direction editing humour "
    "casting cast first_half second_half love_story camera_work soundtrack opening final_scene "
    "chase romance title_song atmosphere villain hero main_character leading_lady lighting pace",
    "very": "very really so truly quite simply utterly just absolutely rather always often",
    "film": "picture comedy drama thriller western flick musical mystery",
    "when": "yesterday last_Friday on_Sunday in_1999 on_TV on_a_plane at_a_festival twice on_DVD "
    "late_at_night on_Christmas_Eve last_summer in_a_small_cinema during_the_holidays at_home",
    "season": "spring summer autumn winter", "num": "83 88 90 92 95 97 101 104 110 118 125 140",
    "year": "1936 1944 1951 1958 1963 1967 1972 1978 1981 1986 1990 1994 1998 2001 2004",
    "verb": "follows meets hides hunts marries loses forgets saves betrays helps robs recognises",
    "turn": "But However, Still, Yet And_yet Nevertheless, All_the_same, In_spite_of_that,",
    "end": "in_the_end after_all taken_as_a_whole all_in_all when_all_is_said_and_done for_me "
    "if_you_ask_me on_the_whole in_my_opinion", "even": "even_if even_though although though",
}  # fmt: skip
POLAR = {  # against | for
    "adj": "terrible awful boring dull stupid weak bad poor dreadful horrible lame silly wooden "
    "predictable pointless tedious clumsy ridiculous shallow forgettable annoying lifeless cheap "
    "flat sloppy embarrassing painful unconvincing tasteless stale dreary hollow mediocre ugly "
    "laughable disappointing empty bland | wonderful brilliant touching clever superb charming "
    "gripping fresh original delightful excellent beautiful perfect fantastic great good fine "
    "lovely magnificent moving honest warm intelligent funny elegant subtle exciting convincing "
    "impressive memorable powerful splendid refreshing terrific stunning amazing sharp witty",
    "feel": "bored annoyed disappointed tired irritated sleepy embarrassed angry unmoved miserable "
    "| thrilled amused moved delighted enchanted happy fascinated impressed touched hooked",
    "liked": "hated disliked loathed despised detested | loved enjoyed adored admired liked",
    "gem": "mess disaster failure bore mistake letdown insult flop waste_of_time shame | "
    "masterpiece gem triumph treasure joy pleasure delight treat marvel work_of_art",
    "well": "badly poorly lazily carelessly | well beautifully cleverly lovingly",
    "last": ":( :-( :/ :( 1/10 2/10 3/10 4/10 Avoid_it. Skip_it. Stay_away. Save_your_money. | "
    ":) :-) ;) :D 7/10 8/10 9/10 10/10 See_it. Rent_it_tonight. Do_not_miss_it. Go_and_watch_it.",
}
# The templates; a slash separates them.
FACTS = """A =age =role travels to =city to find a lost =object. / The =role =verb a =age =role in
a =place near =city. / =first =last plays the =role and =first =last is the =age =role. / I saw it
=when with my =her. / I watched it =when with my =him. / It runs for about =num minutes. / It was
shot in =city in =year. / The story begins in =city, in the =season of =year. / There is a =object,
a =object and a =age =role in it. / The plot, in short: a =role, a =object and a =place at night. /
=first =last directed it, and =first =last wrote the music. / The =role =verb the =role, and the
=object disappears. / By the way, the =place is in =city. / I had read the book by =first =last
before. / One day the =role finds a =object in the =place and =verb a =role. / This is a =film
about a =age =role who lives in a =place. / For years nobody in =city has seen the =object, until
the =role =verb the =role of the =place. / (My =her comes from =city.) / My ticket cost five
dollars and the popcorn was extra. / Half of the audience had seen the television series. / The
first pictures show rain, smoke and tall buildings in =city. / A horse crosses the bridge while the
names of the crew appear. / Three children behind me were eating chocolate. / It won a prize in
=city, as far as I remember. / The subtitles were in Spanish."""
PLAIN = """the =part is =very +adj / the =part is +adj and the =part is +adj / I +liked the =part /
I was =very +feel / =first =last is +adj as the =role / the scene in the =place is =very +adj / it
is +well made / this is a +adj =film / the =part made me =very +feel / it is a +adj, +adj =film / I
+liked every minute of it / the =film is a +gem / =first =last plays the =role +well / the =part is
+adj, the =part is +well done and I was +feel"""
NEGATION = """the =part is not -adj at all / I was never -feel / there is nothing -adj about the
=part / nobody could call the =part -adj / the =part is far from -adj / I can not say that I -liked
the =part / it is by no means a -gem / the =part is never -adj / it is not -well made and it is not
-adj / I did not find the =part -adj / not one scene is -adj / hardly anyone will be -feel / it is
anything but -adj / the =role is not -adj and the =place is not -adj"""
VERDICT = """the =film is =very +adj / it is a +gem / I +liked it / I was =very +feel / it is a
+adj =film / I left the cinema =very +feel / it is not -adj at all / I was never -feel / the whole
thing is +adj / I +liked every minute of it"""
REPORT = """My =her called it -adj; she is wrong. / My =him calls it a -gem, but he is wrong. / The
=they say it is -adj. Do not believe it. / The =they promised a -adj =film. I disagree with the
=they. / I expected a -adj =film and I got a +adj one. / I thought I would be -feel, and I was
mistaken. / My =her was -feel, and I do not understand why. / My =him called it +adj, and he is
right. / The =they say it is a +gem. I agree. / My =her said I would be +feel, and so I was. / Some
of the =they +liked it, and they are right. / Only a fool could say that the =part is -adj."""


def _words(text):
    return [word.replace("_", " ") for word in text.split()]


FACTS, PLAIN, NEGATION, VERDICT, REPORT = (
    " ".join(text.split()).split(" / ") for text in (FACTS, PLAIN, NEGATION, VERDICT, REPORT)
)
NEUTRAL = {name: _words(text) for name, text in NEUTRAL.items()}
POLAR = {name: tuple(map(_words, text.split("|"))) for name, text in POLAR.items()}


class Writer:
    """Writes reviews; every choice comes from one seeded generator."""

    def __init__(self, seed):
        self.random = random.Random(seed).random

    def _pick(self, items):
        return items[int(self.random() * len(items))]

    def _word(self, sign, name, likes):
        if name == "film":  # one genre per review
            return self._pick(["movie", "film", self.genre])
        likes = likes if sign == "+" else 1 - likes
        return self._pick(NEUTRAL[name] if sign == "=" else POLAR[name][likes])

    def _fill(self, templates, likes):
        """Choose a template and replace its marks; ``likes`` is the polarity (0 or 1)."""
        template = self._pick(templates)
        if templates is self.untold:  # tell nothing twice
            self.untold.remove(template)
        text = re.sub(r"([=+-])([a-z]+)", lambda m: self._word(*m.groups(), likes), template)
        return re.sub(r"\b([Aa]) (?=[AEIOUaeiou]|honest\b)", r"\1n ", text)

    def _clause(self, likes):
        return self._fill(PLAIN if self.random() < 0.82 else NEGATION, likes)

    def _sentence(self, clause):
        return clause[0].upper() + clause[1:] + self._pick(["."] * 7 + ["!", "!!!", "..."])

    def _facts(self, most):
        return [self._fill(self.untold, 0) for _ in range(self._pick(range(most + 1)))]

    def _opinions(self, likes, least, most):
        count = self._pick(range(least, most + 1))
        return [self._sentence(self._clause(likes)) for _ in range(count)]

    def _body(self, likes):
        """Draw the sentences of one review, in order."""
        kind, most = self.random(), self._pick([0, 1, 3, 5, 9])
        start, end, size = self._facts(most), self._facts(most // 3), 1 + most // 3
        if kind < 0.56:  # plain and negation
            start += self._opinions(likes, 1, size + 2)
            return start + end + self._opinions(likes, 0, 2)
        verdict = self._fill(VERDICT, likes)
        if kind < 0.70:  # contrast between sentences
            start += self._opinions(1 - likes, 1, 2) + end
            start.append(self._sentence(f"{self._pick(NEUTRAL['turn'])} {verdict}"))
            return start + self._opinions(likes, 1, size + 1)
        start += end
        if kind < 0.80:  # contrast within a sentence
            close = self._pick(NEUTRAL["end"]) + " " if self.random() < 0.5 else ""
            start.append(self._sentence(f"{self._clause(1 - likes)}, but {close}{verdict}"))
        elif kind < 0.86:  # concession
            even = self._pick(NEUTRAL["even"])
            start.append(self._sentence(f"{verdict}, {even} {self._clause(1 - likes)}"))
        else:
            start.append(self._fill(REPORT, likes))
        return start + self._opinions(likes, 0, size)

    def review(self, likes):
        """Draw the text of one review."""
        self.genre, self.untold = self._pick(NEUTRAL["film"]), list(FACTS)
        parts = self._body(likes)
        if self.random() < 0.16:
            parts.append(self._pick(POLAR["last"][likes]))
        if len(parts) > 3 and self.random() < 0.25:
            parts.insert(self._pick(range(1, len(parts) - 1)), "<br /><br />")
        text, style = " ".join(parts), self.random()
        loud = text.replace(" not ", " NOT ") if style < 0.12 else text
        return text.lower() if style < 0.06 else loud


def make(seed=1):
    """Join all lines of the file, in a shuffled order."""
    writer, lines, seen = Writer(seed), [], []
    while len(lines) < 2000:
        text = writer.review(label := len(lines) % 2)
        if 8 <= len(text.split()) <= 150 and text.lower() not in seen:
            split = "train" if len(lines) < 1600 else "test"
            seen.append(text.lower())
            lines.append((writer.random(), f"{split}\t{label}\t{text}\n"))
    return "".join(line for _, line in sorted(lines))


if __name__ == "__main__":
    Path(__file__).with_name("reviews.tsv").write_bytes(make().encode("utf-8"))
