// Names the only node of the cluster.

/** Name of the node. */
export const NODE_NAME = 'stand-in'
