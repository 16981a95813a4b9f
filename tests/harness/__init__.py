"""Real workers as processes on the embedded stack: started, hurt, watched from outside, judged by the plain fold."""
