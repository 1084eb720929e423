"""Why a transform could not be looked up."""


class TransformException(Exception):
    """Base of all the others."""


class ConnectivityException(TransformException):
    """Both frames are known, but they are not in one tree."""


class LookupException(TransformException):
    """A frame is not known."""


class ExtrapolationException(TransformException):
    """The time that was asked for lies outside the times that are known."""


class InvalidArgumentException(TransformException):
    """An argument makes no sense, such as a frame name that starts with a slash or a quaternion of length zero."""


class TimeoutException(TransformException):
    """The transform did not arrive in time."""
