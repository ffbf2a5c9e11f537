def init(:
