"""Answers to the exercises, by the name of their check: one module for each chapter.

RIGHT and WRONG hold lists of answers (a tuple where a check takes several), and HINTS holds
answers together with words that their hint must contain.
"""

from answers import chapter_01, chapter_02, chapter_03, chapter_04, chapter_05, chapter_06

CHAPTERS = [chapter_01, chapter_02, chapter_03, chapter_04, chapter_05, chapter_06]
RIGHT = {name: answers for module in CHAPTERS for name, answers in module.RIGHT.items()}
WRONG = {name: answers for module in CHAPTERS for name, answers in module.WRONG.items()}
HINTS = [case for module in CHAPTERS for case in module.HINTS]
