/* A library with nothing in it, linked with gcc's defaults: what preloading costs anybody. */
int nothing;
