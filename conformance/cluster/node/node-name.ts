// The one node of the cluster.

/** Its name. */
export const NODE_NAME = 'stand-in'
