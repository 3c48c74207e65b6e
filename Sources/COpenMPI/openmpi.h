// The installed Open MPI, found through pkg-config ompi-c.
#include <mpi.h>
