"""From a file to the tree of what nvidia-smi printed in it: XML or text, however it was pasted."""
