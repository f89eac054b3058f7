"""Terms as keywords of images: XMP packets, in sidecar files and in the images themselves."""
