// The front of the reply room.
export { problemReply, successReply, type Reply, type ReplyContext } from './reply.ts'
