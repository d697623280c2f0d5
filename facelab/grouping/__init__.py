"""Grouping: faces sorted into people when nobody says who is on them.

`group_faces` sorts, `grouping_accuracy` says how right that is for whom, `number_of_people` how
many there are.
"""
