"""Whether a picture is true: what the network does when it is believed."""
